-- needs: call
-- gives:
-- Picks random records out of one index, each at most once, with the fields asked for. Writes nothing.
--
-- KEYS   the index; of a class whose records end, their moments as well
-- ARGV   kind (S set, Z scores, L texts, A ids, H hash), two bounds (Z L) or value and field (H),
--        how many, what record keys start with, number of fields, field ...,
--        then as many random integers as records are wanted (Lua in Redis has no randomness of its own)
-- reply  {id, value ..., id, value ...}, or 0: some of them are over

local kind, low, high = ARGV[$CHOOSE_KIND], ARGV[$CHOOSE_LOW], ARGV[$CHOOSE_HIGH]
local wanted, records = tonumber(ARGV[$CHOOSE_WANTED]), ARGV[$CHOOSE_RECORDS]
local DICE = $CHOOSE_SIZE + tonumber(ARGV[$CHOOSE_WIDTH])
local COUNT = {Z = 'ZCOUNT', L = 'ZLEXCOUNT'}
local FIRST, LAST = {Z = '-inf', L = '-'}, {Z = '+inf', L = '+'}

-- Floyd's sample: distinct ranks out of first .. stop - 1, one throw each.
local function sample(first, stop)
  local total = math.max(0, stop - first)
  local taken, found = {}, {}
  for i = math.max(0, total - wanted), total - 1 do
    local throw = tonumber(ARGV[DICE + i - math.max(0, total - wanted) + 1]) % (i + 1)
    local rank = taken[throw] and i or throw
    taken[rank] = true
    found[#found + 1] = call('ZRANGE', KEYS[1], first + rank, first + rank)[1]
  end
  return found
end

local function pick()
  if kind == 'S' then
    return call('SRANDMEMBER', KEYS[1], wanted)
  elseif kind == 'H' then
    return {call('HGET', KEYS[1], low) or nil}
  end
  local size = call('ZCARD', KEYS[1])
  if kind == 'A' then
    return sample(0, size)
  end
  local first = size - call(COUNT[kind], KEYS[1], low, LAST[kind])
  return sample(first, call(COUNT[kind], KEYS[1], FIRST[kind], high))
end

local rows, time = {}, KEYS[2] and call('TIME')
local now = time and time[1] * 1000 + math.floor(time[2] / 1000)
for _, id in ipairs(pick()) do
  if kind == 'L' then
    id = string.sub(id, string.find(id, '\0', 1, true) + 1)
  end
  local moment = now and call('ZSCORE', KEYS[2], id)
  if moment and tonumber(moment) < now then
    return 0
  end
  rows[#rows + 1] = id
  for first = $CHOOSE_SIZE + 1, DICE, 1000 do
    local values = call('HMGET', records .. id, unpack(ARGV, first, math.min(first + 999, DICE)))
    for i = 1, #values do
      rows[#rows + 1] = values[i]
    end
  end
end
return rows
