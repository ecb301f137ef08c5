-- needs: call, permit_refusal
-- gives:
-- Changes a collection of a record, if there is that record.
--
-- KEYS   meta, the record, the collection
-- ARGV   permit, command, its arguments after the key
-- reply  {'OK', what the command answers}, or a refusal with nothing written: {'SCHEMA', 1, permit}
--        {'GONE', 1}

local refusal = permit_refusal(KEYS[1], ARGV[$COLLECT_PERMIT], 1)
if refusal then
  return refusal
end
if call('EXISTS', KEYS[2]) == 0 then
  return {'GONE', 1}
end
local counts = ARGV[$COLLECT_COMMAND] == 'INCRBY'
if counts then
  call('GET', KEYS[3]) -- so that it cannot fail once the counter has changed
end
local answer = call(ARGV[$COLLECT_COMMAND], KEYS[3], unpack(ARGV, $COLLECT_SIZE + 1))
if counts then
  answer = call('GET', KEYS[3]) -- as text: a Lua number is exact up to 2^53 only
end
return {'OK', answer}
