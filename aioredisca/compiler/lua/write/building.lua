-- needs: call, at, CLASSES, RULES
-- gives: left, building
-- Entries of records are written anew while indexes are built: only as long as meta is what the client read. A value
-- that another record holds holds up nothing else: it is told, and the record noted as one that the index lacks.
--
-- ARGV, behind the groups   the run BUILD, then pairs (field, value; empty where there is none) that meta must hold, the
--                           entries that are built; see built.lua for the rest
-- reply                     {'FENCE', 1} where meta holds something else

call('ZCARD', KEYS[#KEYS]) -- another type of value stops the script here, where nothing is written yet
local left, building = {}, {}
local pairs_end = at + $BUILD_SIZE + 2 * tonumber(ARGV[at + $BUILD_EXPECTED])
for i = at + $BUILD_SIZE + 1, pairs_end, 2 do
  if (call('HGET', KEYS[CLASSES[1].meta], ARGV[i]) or '') ~= ARGV[i + 1] then
    return {'FENCE', 1}
  end
end
for i = pairs_end + 1, pairs_end + ARGV[at + $BUILD_ENTRIES] do
  building[ARGV[i]] = true
end
RULES.left_out = function(number, holder, ...)
  left[#left + 1] = {number, holder, ...}
end
