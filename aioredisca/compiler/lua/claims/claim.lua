-- needs: call
-- gives:
-- Claims values, in their partition, for records of any partition. A claim that stands is written anew, so that it is
-- part of what is waited for.
--
-- KEYS   claims: one hash for each unique of the call
-- ARGV   per claim: number of its key, value, id, epoch of the id, then the id that it is taken from and the epoch
--        before which that one had it, or two empty strings
-- reply  per claim: 1, or epoch:id of who has it

local reply = {}
for i = 1, #ARGV, $CLAIM_SIZE do
  local $CLAIM_NAMES = unpack(ARGV, i, i + $CLAIM_SIZE - 1)
  local held = call('HGET', KEYS[tonumber(key)], value)
  local since, holder = string.match(held or '', '^(%d+):(.*)$')
  if holder == id then
    epoch = string.format('%.0f', math.max(tonumber(since), tonumber(epoch)))
  end
  if not holder or holder == id or holder == taken_from and tonumber(since) < tonumber(before) then
    call('HSET', KEYS[tonumber(key)], value, epoch .. ':' .. id)
    reply[#reply + 1] = 1
  else
    reply[#reply + 1] = held
  end
end
return reply
