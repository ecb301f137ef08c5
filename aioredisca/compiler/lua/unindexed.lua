-- Sets fields that no index knows of in one record, if there is that record.
--
-- KEYS   meta, the record
-- ARGV   signature, a field to remove (the marker, see commit.lua) or '', then pairs (field, value)
-- reply  {'OK', 0}, or a refusal with nothing written: {'SCHEMA', 1, signature} {'GONE', 1} {'TYPE', 1}

local call = redis.call
local signature = call('HGET', KEYS[1], 'signature')
if signature ~= ARGV[1] then
  return {'SCHEMA', 1, signature or ''}
end
local kind = call('TYPE', KEYS[2]).ok
if kind ~= 'hash' then
  return {kind == 'none' and 'GONE' or 'TYPE', 1}
end
call('HSET', KEYS[2], unpack(ARGV, 3))
if ARGV[2] ~= '' then
  call('HDEL', KEYS[2], ARGV[2])
end
return {'OK', 0}
