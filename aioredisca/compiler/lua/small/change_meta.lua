-- needs: call
-- gives:
-- Changes meta, if it is still what the client saw.
--
-- KEYS   meta, bad, keys that must not be there, keys to unlink
-- ARGV   the run CHANGE_META (how many keys must not be there, an entry that no record may be missing from, numbers of
--        pairs), then pairs (field, value; empty where there is none) that meta must hold, pairs to set, fields to drop
-- reply  1 changed, 0 something else is there

local absent, whole = 2 + ARGV[$CHANGE_META_ABSENT], ARGV[$CHANGE_META_WHOLE]
local expected = $CHANGE_META_SIZE + 2 * ARGV[$CHANGE_META_EXPECTED]
local set = expected + 2 * ARGV[$CHANGE_META_SET]

for i = $CHANGE_META_SIZE + 1, expected, 2 do
  if (call('HGET', KEYS[1], ARGV[i]) or '') ~= ARGV[i + 1] then
    return 0
  end
end
if absent > 2 and call('EXISTS', unpack(KEYS, 3, absent)) > 0 then
  return 0
elseif whole ~= '' and call('ZLEXCOUNT', KEYS[2], '[' .. whole .. '\0', '(' .. whole .. '\1') > 0 then
  return 0
end
if #KEYS > absent then
  call('UNLINK', unpack(KEYS, absent + 1))
end
for i = expected + 1, set, 2 do
  call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
for i = set + 1, #ARGV do
  call('HDEL', KEYS[1], ARGV[i])
end
return 1
