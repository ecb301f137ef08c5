-- Picks random records out of an index, each at most once, with the fields asked for. Writes nothing.
--
-- KEYS   the index
-- ARGV   kind (set, scored, ids, unique), unique: the value | scored: what ZCOUNT counts below the range,
--        scored: upper bound, how many, what record keys start with, number of fields, field ...,
--        then as many random integers as records are wanted (Lua in Redis has no randomness of its own)
-- reply  {id, value ..., id, value ...}

local call = redis.call
local kind, low, high = ARGV[1], ARGV[2], ARGV[3]
local wanted, records, fields = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local DICE = 6 + fields

-- Floyd's sample: distinct ranks out of first .. stop - 1, one throw each.
local function sample(first, stop)
  local total = math.max(0, stop - first)
  local taken, ids = {}, {}
  for i = math.max(0, total - wanted), total - 1 do
    local throw = tonumber(ARGV[DICE + i - math.max(0, total - wanted) + 1]) % (i + 1)
    local rank = taken[throw] and i or throw
    taken[rank] = true
    ids[#ids + 1] = call('ZRANGE', KEYS[1], first + rank, first + rank)[1]
  end
  return ids
end

local function pick()
  if kind == 'set' then
    return call('SRANDMEMBER', KEYS[1], wanted)
  elseif kind == 'ids' then
    return sample(0, call('ZCARD', KEYS[1]))
  elseif kind == 'scored' then
    local first = low == '' and 0 or call('ZCOUNT', KEYS[1], '-inf', low)
    return sample(first, high == '' and call('ZCARD', KEYS[1]) or call('ZCOUNT', KEYS[1], '-inf', high))
  end
  return {call('HGET', KEYS[1], low) or nil}
end

local rows = {}
for _, id in ipairs(pick()) do
  rows[#rows + 1] = id
  for first = 7, DICE, 1000 do
    local values = call('HMGET', records .. id, unpack(ARGV, first, math.min(first + 999, DICE)))
    for i = 1, #values do
      rows[#rows + 1] = values[i]
    end
  end
end
return rows
