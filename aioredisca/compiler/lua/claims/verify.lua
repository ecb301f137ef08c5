-- needs: CLASSES, FIXED, holds_claimed, buried, vacate
-- gives:
-- Whether records hold the values that they claim, in the partition of these records. Where one does not its epoch moves
-- on, so that it cannot come to hold it by that claim.
--
-- KEYS   the fixed keys of the class, then the record of each claim
-- ARGV   per claim: the unique, value, id, the epoch of the claim
-- reply  per claim: 0 where the record lives and holds the value, else the new epoch

local class, reply = CLASSES[1], {}
local base = string.sub(KEYS[class.meta], 1, -6)
for i = 1, #ARGV, $VERIFY_SIZE do
  local $VERIFY_NAMES = unpack(ARGV, i, i + $VERIFY_SIZE - 1)
  local key = KEYS[FIXED + #reply + 1]
  if not buried(base, key, id, class.collections) and holds_claimed(key, of, value) then
    reply[#reply + 1] = 0
  else
    reply[#reply + 1] = vacate(base, id, {}, epoch)
  end
end
return reply
