-- Answers a tree of conditions: one bounded step of it, with the fields asked for. Writes nothing.
-- Composed of tree.lua (what is asked), walk.lua (how ids are found) and answer.lua (what is replied).
--
-- KEYS   the set of all ids, then the indexes that tree and order name by number
-- ARGV   want (rows, count, plan), limit (-1 none), offset, cursor (empty: start), rows of a page,
--        1 if SORT_RO may fetch rows, 1 if a row must be proved to exist,
--        what record keys start with, number of fields, field ...,
--        order (none, id, score, text), its field, 1 if descending, number of its index, number of the set
--        of the ids without a value,
--        then the tree in prefix notation: & n node .. | n node .. + n field m value .. leaf .. (one of m values),
--        or a leaf; a leaf or + is negated where it begins with !
--          S set   Z sorted set, min, max   L sorted set of texts, field, min (in), max (out)
--          H hash, value, field (empty: not to be proved)   A (all)   ? (not indexed: the client decides)
-- reply  {cursor (empty: that was all; ?: too dear in this order, ask without), offset still to skip, rows
--        or a number}: rows {id, {value ...}, id, {value ...}}, as SORT_RO gives them {id, value ..., id ...};
--        plan {way, then kind, key, size of each driver}
--
-- A tree is answered by driving: the cheapest leaves that together cover it are walked, and what they yield
-- is tested by the whole tree. One call examines about BUDGET ids, and tells by its cursor where to go on.
-- Without an order rows come as they are found, for the client to sort, and none comes twice but by a change
-- meanwhile. Ids are compared by bytes; scores by number, and descending turns ties around as well.

local BUDGET, STEP, SLICE, TABLE = 2000, 500, 1000, 8000
local call, min, max, floor = redis.call, math.min, math.max, math.floor

local at = 0
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

local want, limit, offset, cursor, page = take(), take_number(), take_number(), take(), take_number()
local may_sort, prove, records, width = take() == '1', take() == '1', take(), take_number()
local FIELDS = at + 1
at = at + width
local order, order_field, descending, order_key, none_key = take(), take(), take() == '1', take_key(), take_key()
local IDS = KEYS[1]

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

-- A text as it stands in an index of texts: NUL ends it, so it holds none itself, and keeps its order.
local function sortable(text)
  return (string.gsub(string.gsub(text, '\1', '\1\2'), '%z', '\1\1'))
end

local function id_of(member)
  return string.sub(member, string.find(member, '\0', 1, true) + 1)
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
  enumerate = 0.35, test = 1.1,
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
    -- A claim is a hint: it holds only while its record holds the value.
    if id and (field == '' or call('HGET', records .. id, field) == value) then
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

-- the tree ----------------------------------------------------------------------------------------

local EVERY = {kind = 'A', number = 0}
local leaves = {[0] = EVERY}

local function number_leaf(leaf)
  leaf.number = #leaves + 1
  leaves[leaf.number] = leaf
  return leaf
end

local function parse_leaf(token)
  local leaf = {negated = string.sub(token, 1, 1) == '!', kind = string.sub(token, -1)}
  KINDS[leaf.kind].read(leaf)
  return number_leaf(leaf)
end

-- The sets of an AND together, as one more leaf to drive by.
local function join_sets(node)
  local keys = {}
  for _, child in ipairs(node) do
    if child.kind == 'S' and not child.negated then
      keys[#keys + 1] = child.key
    end
  end
  if #keys > 1 then
    node.joint = number_leaf({kind = 'I', keys = keys, negated = false, parent = node})
  end
end

local function parse()
  local token = take()
  local op = string.sub(token, -1)
  if op ~= '&' and op ~= '|' and op ~= '+' then
    return parse_leaf(token)
  end
  local node, count = {op = op, negated = token == '!+', flat = op ~= '&'}, take_number()
  if op == '+' then
    node.field, node.values = take(), {}
    for i = 1, take_number() do
      node.values[take()] = true
    end
  end
  for i = 1, count do
    local child = parse()
    node[i], child.parent, child.place = child, node, i
    node.flat = node.flat and not child.op and not child.negated and KINDS[child.kind].all ~= nil
  end
  if op == '&' then
    join_sets(node)
  end
  return node
end

local tree = parse()

local function sum_of_sizes(node)
  if not node.sum then
    node.sum = 0
    for _, child in ipairs(node) do
      node.sum = node.sum + size(child)
    end
  end
  return node.sum
end

-- Whether an OR is tested by one table of all that it holds: where that is not too much to make.
local function has_table(node)
  return node.flat and #node > 8 and sum_of_sizes(node) <= TABLE
end

local function test_cost(node)
  if not node.op then
    return KINDS[node.kind].test
  elseif node.values or has_table(node) then
    return 1
  end
  local cost = 0
  for _, child in ipairs(node) do
    cost = cost + test_cost(child)
  end
  return cost
end

-- A tree that takes longer per id examines fewer of them in one call. What drives an OR of leaves need not be
-- tested.
BUDGET = max(100, min(BUDGET, floor(4000 / max(1, tree.flat and 1 or test_cost(tree)))))
STEP = min(STEP, floor(BUDGET / 4))

-- About how many ids match, as if the conditions had nothing to do with each other.
local function estimate(node)
  if node.estimate then
    return node.estimate
  end
  local total, found = size(EVERY), nil
  if not node.op then
    found = node.negated and total - size(node) or size(node)
  elseif node.op == '&' then
    found = total
    for _, child in ipairs(node) do
      found = total > 0 and found * estimate(child) / total or 0
    end
  elseif node.negated then
    found = total - sum_of_sizes(node)
  else
    found = 0
    for _, child in ipairs(node) do
      found = found + estimate(child)
    end
  end
  node.estimate = max(0, min(total, found))
  return node.estimate
end

-- The children of an AND, those first that throw out most for their price.
local function by_worth(node)
  if not node.sorted then
    local total = max(1, size(EVERY))
    node.sorted = {}
    for i, child in ipairs(node) do
      child.worth = (estimate(child) / total - 1) / test_cost(child)
      node.sorted[i] = child
    end
    table.sort(node.sorted, function(a, b)
      return a.worth < b.worth
    end)
  end
  return node.sorted
end

-- What it costs to test *count* ids by the children of an AND but *left_out*.
local function rest_cost(node, count, left_out)
  local total, cost = max(1, size(EVERY)), 0
  for _, child in ipairs(by_worth(node)) do
    if child ~= left_out and not (left_out == node.joint and child.kind == 'S' and not child.negated) then
      cost = cost + count * test_cost(child)
      count = count * estimate(child) / total
    end
  end
  return cost
end

-- Whether the server may intersect the sets of an AND at once: it probes each id of the smallest.
local function may_join(node)
  local smallest = math.huge
  for _, child in ipairs(node) do
    if child.kind == 'S' and not child.negated then
      smallest = min(smallest, size(child))
    end
  end
  return smallest * #node.joint.keys <= 10 * BUDGET
end

local function small_joint(node)
  return may_join(node) and size(node.joint) <= BUDGET
end

-- The leaves to walk so that nothing which matches *node* is missed; what that costs; how many ids they yield.
local function cover(node)
  if not node.op or node.negated then
    local leaf = (node.negated or node.kind == '?') and EVERY or node
    return {leaf}, size(leaf) * KINDS[leaf.kind].enumerate, size(leaf)
  end
  local found, cost, count
  if node.op == '&' then
    for i = 1, min(#node, 32) do -- of many only the best, lest the choice take longer than the walk
      local child = by_worth(node)[i]
      local some, price, ids = cover(child)
      price = price + rest_cost(node, ids, child)
      if not found or price < cost then
        found, cost, count = some, price, ids
      end
    end
    if node.joint and count > 0 and small_joint(node) then
      local ids = size(node.joint)
      local price = ids * KINDS.I.enumerate + rest_cost(node, ids, node.joint)
      if price < cost then
        found, cost, count = {node.joint}, price, ids
      end
    end
    return found, cost, count
  end
  found, cost, count = {}, 0, 0
  for _, child in ipairs(node) do
    local some, price, ids = cover(child)
    if some[1] == EVERY then
      return some, price, ids
    end
    for _, leaf in ipairs(some) do
      found[#found + 1] = leaf
    end
    cost, count = cost + price, count + ids
  end
  if count > 2 * size(EVERY) then
    return {EVERY}, size(EVERY) * KINDS.A.enumerate, size(EVERY)
  end
  return found, cost, count
end

-- testing ids -------------------------------------------------------------------------------------

local driver, path -- what is walked now; for each node above it, the child that it stands in

local function set_driver(leaf)
  if leaf == driver then
    return
  end
  driver, path = leaf, {}
  while leaf.parent do
    path[leaf.parent], leaf = leaf, leaf.parent
  end
end

local function known(node)
  return node.kind == '?' or (node == driver and not node.negated)
end

local function by_flags(ids, flags, wanted)
  local kept = {}
  for i = 1, #ids do
    if flags[i] == wanted then
      kept[#kept + 1] = ids[i]
    end
  end
  return kept
end

local keep

-- Adds to *matched* those of *ids* that match *child*. -> the others
local function strike(child, ids, matched)
  local hits, left = keep(child, ids), {}
  for i = 1, #hits do
    matched[hits[i]] = true
  end
  for i = 1, #ids do
    if not matched[ids[i]] then
      left[#left + 1] = ids[i]
    end
  end
  return left
end

local function table_of(node)
  local inside = {}
  for _, child in ipairs(node) do
    for _, id in ipairs(KINDS[child.kind].all(child)) do
      inside[id] = true
    end
  end
  return inside
end

-- Those of *ids* that hold one of the values of a list.
local function holders(node, ids)
  local matched = {}
  for i = 1, #ids do
    local value = call('HGET', records .. ids[i], node.field)
    matched[ids[i]] = value and node.values[value]
  end
  return matched
end

-- A table of those of *ids* that match an OR, and maybe of others. Each child is asked only about what no
-- earlier one matched; the one that the driver stands in, which most match, comes first.
local function matches_of(node, ids)
  local first = path[node]
  if not first and node.values then
    return holders(node, ids)
  elseif not first and has_table(node) then
    node.inside = node.inside or table_of(node)
    return node.inside
  end
  local matched, rest = {}, ids
  if first then
    rest = strike(first, rest, matched)
  end
  for _, child in ipairs(node) do
    if #rest == 0 then
      break
    elseif child ~= first then
      rest = strike(child, rest, matched)
    end
  end
  return matched
end

local function keep_any(node, ids)
  local matched, kept = matches_of(node, ids), {}
  for i = 1, #ids do
    if (matched[ids[i]] or false) ~= node.negated then
      kept[#kept + 1] = ids[i]
    end
  end
  return kept
end

-- Those of *ids* that match *node*, in the same order.
keep = function(node, ids)
  if #ids == 0 or (not node.op and known(node)) then
    return ids
  elseif not node.op then
    return by_flags(ids, KINDS[node.kind].holds(node, ids), not node.negated)
  elseif node.op ~= '&' then
    return keep_any(node, ids)
  end
  for _, child in ipairs(by_worth(node)) do
    if not (driver == node.joint and child.kind == 'S' and not child.negated) then
      ids = keep(child, ids)
    end
  end
  return ids
end
