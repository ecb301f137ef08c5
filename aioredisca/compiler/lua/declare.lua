-- Writes the storage signature of a model, if it is still what the client saw.
--
-- KEYS   meta, ids
-- ARGV   signature seen (empty: none), signature to write, indexes to call unbuilt while there are
--        records, indexes to call unbuilt in any case
-- reply  1 written, 0 somebody else was faster
if (redis.call('HGET', KEYS[1], 'signature') or '') ~= ARGV[1] then
  return 0
end
local unbuilt = ARGV[4]
if redis.call('ZCARD', KEYS[2]) > 0 then
  unbuilt = ARGV[3]
end
redis.call('HSET', KEYS[1], 'signature', ARGV[2], 'unbuilt', unbuilt)
return 1
