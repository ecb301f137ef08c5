-- needs: call
-- gives:
-- Writes the storage signature of a model, if it is still what the client saw.
--
-- KEYS   meta, ids
-- ARGV   signature seen (empty: none), signature to write, indexes to call unbuilt while there are
--        records, indexes to call unbuilt in any case, the new word for all of this
-- reply  1 written, 0 somebody else was faster
if (call('HGET', KEYS[1], 'signature') or '') ~= ARGV[$DECLARE_SEEN] then
  return 0
end
local unbuilt, if_records = ARGV[$DECLARE_ALWAYS], ARGV[$DECLARE_IF_RECORDS]
if if_records ~= unbuilt and call('ZCARD', KEYS[2]) > 0 then
  unbuilt = if_records
end
call('HSET', KEYS[1], 'signature', ARGV[$DECLARE_SIGNATURE], 'unbuilt', unbuilt, 'ver', ARGV[$DECLARE_VER])
return 1
