-- needs: call, holds_value, sortable
-- gives: BUDGET, STEP, SLICE, TABLE, min, max, floor, limit, offset, cursor, page, may_sort, prove,
--   records, width, FIELDS, order, order_field, descending, order_key, none_key, implied_key, IDS,
--   take, take_number, less, id_of, ids_of, lookup, sliced, KINDS, size
-- Answers a tree of conditions: one bounded step of it, with the fields asked for. Writes nothing.
-- README.md tells which parts follow.
--
-- KEYS   the set of all ids, then the indexes that tree and order name by number
-- ARGV   limit (-1 none), offset, cursor (empty: start), rows of a page,
--        1 if SORT_RO may fetch rows, 1 if a row must be proved to exist,
--        what record keys start with, number of fields, field ...,
--        order (none, id, score, text), its field, 1 if descending, number of its index, of the set of the ids
--        without a value, and of a set in which all of its index stand,
--        then the tree in prefix notation: & n node .. | n node .. + n field m value .. leaf .. (one of m values),
--        or a leaf; a leaf or + is negated where it begins with !
--          S set   Z sorted set, min, max   L sorted set of texts, field, min (in), max (out)
--          H hash, value, field (empty: not to be proved)   A (all)   ? (not indexed: the client decides)
--          of classes whose records end, see due.lua: D sorted set of moments: those that are over
--          M the same, min, max: those that are not, whose moment lies there
-- reply  {cursor (empty: that was all; ?: too dear in this order, ask without), offset still to skip, rows
--        or a number}: rows {id, {value ...}, id, {value ...}}, or replies of SORT_RO {{id, value ..., id ...}, ...};
--        plan {way, then kind, key, size of each driver}
--
-- A tree is answered by driving: the cheapest leaves that together cover it are walked, and what they yield
-- is tested by the whole tree. One call examines about BUDGET ids, and tells by its cursor where to go on.
-- Without an order rows come as they are found, for the client to sort, and none comes twice but by a change
-- meanwhile. Ids are compared by bytes; scores by number, and descending turns ties around as well.

local BUDGET, STEP, SLICE, TABLE = 2000, 500, 1000, 8000
local min, max, floor = math.min, math.max, math.floor
local find, sub = string.find, string.sub

local limit, offset = tonumber(ARGV[$QUERY_LIMIT]), tonumber(ARGV[$QUERY_OFFSET])
local cursor, page = ARGV[$QUERY_CURSOR], tonumber(ARGV[$QUERY_PAGE])
local may_sort, prove = ARGV[$QUERY_MAY_SORT] == '1', ARGV[$QUERY_PROVE] == '1'
local records, width = ARGV[$QUERY_RECORDS], tonumber(ARGV[$QUERY_WIDTH])
local FIELDS = $QUERY_SIZE + 1
local at = $QUERY_SIZE + width -- behind it the order, then the tree
local order, order_field, descending = ARGV[at + $ORDER_KIND], ARGV[at + $ORDER_FIELD], ARGV[at + $ORDER_DESCENDING] == '1'
local order_key, none_key = KEYS[tonumber(ARGV[at + $ORDER_INDEX_KEY])], KEYS[tonumber(ARGV[at + $ORDER_NONE])]
local implied_key = KEYS[tonumber(ARGV[at + $ORDER_IMPLIES])]
local IDS = KEYS[1]

at = at + $ORDER_SIZE
local function take()
  at = at + 1
  return ARGV[at]
end

local function take_number()
  return tonumber(take())
end

local function take_key()
  return KEYS[take_number()]
end

-- comparing bytes ---------------------------------------------------------------------------------

local function bytes_less(a, b)
  for i = 1, min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then
      return x < y
    end
  end
  return #a < #b
end

-- `<` on strings follows the server's locale; where that is not C, compare by hand.
local less = ('B' < 'a' and 'a' < '~') and function(a, b) return a < b end or bytes_less

local function id_of(member)
  return sub(member, find(member, '\0', 1, true) + 1)
end

local function ids_of(members)
  for i = 1, #members do
    members[i] = id_of(members[i])
  end
  return members
end

local function lookup(list)
  local found = {}
  for i = 1, #list do
    found[list[i]] = true
  end
  return found
end

local function sliced(command, key, ids)
  local all = {}
  for first = 1, #ids, SLICE do
    local some = call(command, key, unpack(ids, first, min(first + SLICE - 1, #ids)))
    for i = 1, #some do
      all[first + i - 1] = some[i]
    end
  end
  return all
end

-- kinds of leaves ---------------------------------------------------------------------------------

-- Each kind: what it costs to enumerate an id and to test one, in microseconds as measured; how it is read
-- off ARGV; how many ids it has; all of them; for which of *ids* it holds.
local KINDS = {}

local function parse_bound(text)
  local out = string.sub(text, 1, 1) == '('
  local number = out and string.sub(text, 2) or text
  if number == '-inf' then
    return -math.huge, out
  end
  return number == '+inf' and math.huge or tonumber(number), out
end

local function within(leaf, score)
  if not score then
    return false
  end
  local number = tonumber(score)
  if number < leaf.from or (leaf.past and number == leaf.from) then
    return false
  end
  return number < leaf.to or (not leaf.short and number == leaf.to)
end

-- Whether a member lies between two ends as ZRANGEBYLEX takes them, the first of them in, the last out.
local function between(member, low, high)
  if low ~= '-' and less(member, string.sub(low, 2)) then
    return false
  end
  return high == '+' or less(member, string.sub(high, 2))
end

-- Flags by a table of all that the leaf holds, where that is not much more than what is asked about.
local function by_table(leaf, ids)
  leaf.inside = leaf.inside or lookup(KINDS[leaf.kind].all(leaf))
  local flags = {}
  for i = 1, #ids do
    flags[i] = leaf.inside[ids[i]] or false
  end
  return flags
end

local function size(leaf)
  leaf.size = leaf.size or KINDS[leaf.kind].size(leaf)
  return leaf.size
end

local function few(leaf, ids)
  return leaf.inside or size(leaf) <= 2 * #ids
end

local function every(leaf, ids)
  local flags = {}
  for i = 1, #ids do
    flags[i] = true
  end
  return flags
end

local function count_all()
  return call('ZCARD', IDS)
end

KINDS.S = {
  enumerate = 0.2, test = 0.12,
  read = function(leaf)
    leaf.key = take_key()
  end,
  size = function(leaf)
    return call('SCARD', leaf.key)
  end,
  all = function(leaf)
    return call('SMEMBERS', leaf.key)
  end,
  holds = function(leaf, ids)
    local flags = sliced('SMISMEMBER', leaf.key, ids)
    for i = 1, #ids do
      flags[i] = flags[i] == 1
    end
    return flags
  end,
}

KINDS.Z = {
  enumerate = 0.13, test = 0.7,
  read = function(leaf)
    leaf.key, leaf.low, leaf.high = take_key(), take(), take()
    leaf.from, leaf.past = parse_bound(leaf.low)
    leaf.to, leaf.short = parse_bound(leaf.high)
  end,
  size = function(leaf)
    return call('ZCOUNT', leaf.key, leaf.low, leaf.high)
  end,
  all = function(leaf)
    return call('ZRANGEBYSCORE', leaf.key, leaf.low, leaf.high)
  end,
  holds = function(leaf, ids)
    if few(leaf, ids) then
      return by_table(leaf, ids)
    end
    local flags = sliced('ZMSCORE', leaf.key, ids)
    for i = 1, #ids do
      flags[i] = within(leaf, flags[i])
    end
    return flags
  end,
}

-- What stands in an index of texts for the field of a record, or false. One look serves all that ask.
local members = {}
local function member_of(id, field)
  local known = members[field] or {}
  members[field] = known
  if known[id] == nil then
    local value = call('HGET', records .. id, field)
    known[id] = value and sortable(value) .. '\0' .. id
  end
  return known[id]
end

KINDS.L = {
  enumerate = 0.35, test = 2,
  read = function(leaf)
    leaf.key, leaf.field, leaf.low, leaf.high = take_key(), take(), take(), take()
  end,
  size = function(leaf)
    return call('ZLEXCOUNT', leaf.key, leaf.low, leaf.high)
  end,
  all = function(leaf)
    return ids_of(call('ZRANGEBYLEX', leaf.key, leaf.low, leaf.high))
  end,
  holds = function(leaf, ids)
    if few(leaf, ids) then
      return by_table(leaf, ids)
    end
    local flags = {}
    for i = 1, #ids do
      local member = member_of(ids[i], leaf.field)
      flags[i] = member and between(member, leaf.low, leaf.high)
    end
    return flags
  end,
}

KINDS.H = {
  enumerate = 0.1, test = 0.01,
  read = function(leaf)
    leaf.key = take_key()
    local value, field = take(), take()
    local id = call('HGET', leaf.key, value)
    if id and (field == '' or holds_value(records .. id, field, value)) then
      leaf.id = id
    end
  end,
  size = function(leaf)
    return leaf.id and 1 or 0
  end,
  all = function(leaf)
    return {leaf.id}
  end,
  holds = function(leaf, ids)
    local flags = {}
    for i = 1, #ids do
      flags[i] = ids[i] == leaf.id
    end
    return flags
  end,
}

KINDS.A = {enumerate = 0.13, test = 0.01, read = function() end, size = count_all, holds = every}

-- Not indexed: whatever it is, the client decides.
KINDS['?'] = {enumerate = 0.13, test = 0.01, read = function() end, size = count_all, holds = every}

-- What several sets have in common. Computed at once or not at all, so that it is walked in one step.
KINDS.I = {
  enumerate = 0.15, test = 0.1,
  size = function(leaf)
    leaf.list = leaf.list or call('SINTER', unpack(leaf.keys))
    return #leaf.list
  end,
  all = function(leaf)
    return leaf.list
  end,
  holds = by_table,
}
