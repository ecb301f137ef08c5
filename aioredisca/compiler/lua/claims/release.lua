-- needs: call
-- gives:
-- Releases claims that were given up, unless they were renewed since.
--
-- KEYS   claims: one hash for each unique of the call
-- ARGV   per claim: number of its key, value, id, the epoch before which it was made
-- reply  how many were released

local released = 0
for i = 1, #ARGV, $RELEASE_SIZE do
  local $RELEASE_NAMES = unpack(ARGV, i, i + $RELEASE_SIZE - 1)
  local since, holder = string.match(call('HGET', KEYS[tonumber(key)], value) or '', '^(%d+):(.*)$')
  if holder == id and tonumber(since) < tonumber(before) then
    released = released + call('HDEL', KEYS[tonumber(key)], value)
  end
end
return released
