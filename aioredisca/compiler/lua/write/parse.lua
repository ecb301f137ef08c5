-- needs: permit_refusal, FIXED, CLASSES
-- gives: SLICE, min, send, groups, at, reading, careful, RULES
-- The records of a write, taken from ARGV in groups. README.md tells what stands there; the names of what a
-- group begins with are filled in from positions.py.
--
-- A group, of records that follow each other:
--   class, mode, count    as in ARGV; number = how many records come before it
--   key_at, ids, row      record i has the key KEYS[key_at + i] and the id ids[i]; its row in ARGV starts after
--                         row + i * width. A record whose key is not of the call has it in key.
--   columns               field -> its place in a row, false where it is dropped, nil where it stays as it is
--   extras                the same for scores and digests, if there are any
--   first_set, last       where the names of what is set stand in ARGV; first_drop, last_drop: of what is dropped
--   indexed, declared     whether it names a field that indexes know, whether it sets a declared one
--   parents               see parents.lua; first_parent, parent_at: where the names and the numbers of keys stand
--   sums                  see increment.lua; first_sum, sum_at: where the names and what is added stand
--   tokens                see requirements.lua; token_at: where they stand
--   old                   per record: field -> stored value of what was read, false where there is no record.
--                         Records that are to be new have none: they are not read, nothing of them can be anywhere.
--   ends                  of classes whose records end: see ends.lua
--   care, expected        see preconditions.lua; first_expected, expectations: where the names and the values stand

local SLICE = 1000
local min, unpack, KEYS, ARGV = math.min, unpack, KEYS, ARGV -- found faster

for number, class in ipairs(CLASSES) do
  local refusal, permitted = permit_refusal(KEYS[class.meta], class.permit, number)
  if refusal then
    return refusal
  end
  class.permitted = permitted
  class.base = string.sub(KEYS[class.meta], 1, -6)
end

-- One command on one key, sent by *way* (call or leave), in slices of an even length, so that pairs stay together.
local function send(way, command, key, list, first, last)
  for i = first, last, SLICE do
    way(command, key, unpack(list, i, min(i + SLICE - 1, last)))
  end
end

local groups, at, records, reading, careful = {}, 1, 0, false, false
for number = 1, tonumber(ARGV[1]) do
  local $GROUP_NAMES = unpack(ARGV, at + 1, at + $GROUP_SIZE)
  at = at + $GROUP_SIZE
  local class, ends = CLASSES[tonumber(class_number)], nil
  if class.entries then
    at, ends = at + 1, ARGV[at + 1]
  end
  local first_set = at + free + drops + reads + 1
  local last = first_set + sets + others - 1
  local g = {
    class = class, ends = ends, mode = mode, count = tonumber(rows), number = records,
    key_at = FIXED + records, ids = {}, columns = {}, first_set = first_set, last = last,
    indexed = drops + sets > 0, declared = declared == '1', row = 0, width = sets + others + extras + expected + parents,
  }
  for i = first_set, last do
    g.columns[ARGV[i]] = i - first_set + 1
  end
  for i = at + 1, at + free + drops do
    g.columns[ARGV[i]] = false
  end
  if mode ~= 'd' and free + drops > 0 then
    g.first_drop, g.last_drop = at + 1, at + free + drops
  end
  if mode ~= 'c' or care ~= '0' or expected ~= '0' then
    reading, g.old = true, {}
    -- one field more than the indexes need: it tells mostly that there is a record
    g.first_read, g.last_read = at + free + 1, min(first_set + sets, last)
  end
  if care ~= '0' or expected ~= '0' then
    careful, g.care, g.expected = true, care, tonumber(expected)
    g.first_expected, g.expectations = at + free + drops + 1, sets + others + extras
  end
  if extras ~= '0' then
    g.extras = {}
    for i = 1, extras do
      g.extras[ARGV[last + i]] = sets + others + i
    end
  end
  if parents ~= '0' then
    g.parents, g.first_parent, g.parent_at = tonumber(parents), last + extras, sets + others + extras + expected
  end
  at = last + extras + parents
  if sums ~= '0' then
    g.sums, g.first_sum, g.sum_at = tonumber(sums), at, g.width
    g.width, at = g.width + sums * $INCREMENT_SIZE, at + sums
  end
  if tokens ~= '0' then
    g.tokens, g.token_at, at = tonumber(tokens), at, at + tokens
  end
  g.row, at = at - g.width, at + g.count * g.width
  local head = #g.class.base + 2
  for i = 1, g.count do
    g.ids[i] = string.sub(KEYS[g.key_at + i], head)
  end
  records = records + g.count
  groups[number] = g
end
local RULES = {} -- what parts put in that only some scripts or calls have: stale, as_meant, unmet, sum
