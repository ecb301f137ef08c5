-- needs: call, CLASSES, FIXED, holds_claimed, buried, vacate, owed
-- gives:
-- Hands back claims of records that were not given the values, in the partition of these records.
--
-- KEYS   the fixed keys of the class, then the record of each claim; claims of one record follow each other
-- ARGV   per claim: the unique, value, id
-- reply  claims to be released, as they stand in the list of these

local class = CLASSES[1]
local base = string.sub(KEYS[class.meta], 1, -6)
local values, held = {}, false
for i = 1, #ARGV, $ABORT_SIZE do
  local $ABORT_NAMES = unpack(ARGV, i, i + $ABORT_SIZE - 1)
  local key = KEYS[FIXED + (i - 1) / $ABORT_SIZE + 1]
  held = not buried(base, key, id, class.collections) and holds_claimed(key, of, value)
  if not held then
    values[#values + 1], values[#values + 2] = of, value
  end
  if ARGV[i + $ABORT_SIZE + 2] ~= id then -- the last one of this record
    if values[1] then
      vacate(base, id, values)
    end
    values = {}
  end
end
return owed > 0 and call('LRANGE', base .. '/o', 0, owed + $ALSO_OWED - 1) or {}
