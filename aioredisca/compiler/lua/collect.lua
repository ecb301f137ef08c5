-- Changes a collection of a record, if there is that record.
--
-- KEYS   meta, the record, the collection
-- ARGV   signature, command, its arguments after the key
-- reply  {'OK', what the command answers}, or a refusal with nothing written: {'SCHEMA', 1, signature}
--        {'GONE', 1}

local signature = redis.call('HGET', KEYS[1], 'signature')
if signature ~= ARGV[1] then
  return {'SCHEMA', 1, signature or ''}
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  return {'GONE', 1}
end
local answer = redis.call(ARGV[2], KEYS[3], unpack(ARGV, 3))
if ARGV[2] == 'INCRBY' then
  answer = redis.call('GET', KEYS[3]) -- as text: a Lua number is exact up to 2^53 only
end
return {'OK', answer}
