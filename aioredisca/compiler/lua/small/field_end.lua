-- needs: call, permit_refusal
-- gives:
-- Gives a field of a record another end, if there is that record.
--
-- KEYS   meta, the record
-- ARGV   the run FIELD_END (permit, field, command), then what the command takes before its fields
-- reply  {'OK', 1, or 0 if the field holds no value}, or a refusal with nothing written:
--        {'SCHEMA', 1, permit}  {'GONE', 1}  {'TYPE', 1}

local refusal, permit = permit_refusal(KEYS[1], ARGV[$FIELD_END_PERMIT], 1)
if refusal then
  return refusal
end
local kind = call('TYPE', KEYS[2]).ok
if kind ~= 'hash' then
  return {kind == 'none' and 'GONE' or 'TYPE', 1}
end
if permit == 'm' then -- see permit.lua
  call('ZADD', string.sub(KEYS[1], 1, -5) .. 'd', 'INCR', '1', string.sub(KEYS[2], #KEYS[1] - 3))
end
local function set_end(key, field)
  local command = {ARGV[$FIELD_END_COMMAND], key, unpack(ARGV, $FIELD_END_SIZE + 1)}
  for _, each in ipairs({'FIELDS', '1', field}) do
    command[#command + 1] = each
  end
  call(unpack(command))
end
set_end(KEYS[1], $MARKER) -- which meta has not: whether the server takes it
if not call('HGET', KEYS[2], ARGV[$FIELD_END_FIELD]) then
  return {'OK', 0}
end
call('HSET', KEYS[2], $MARKER, '1') -- so that the record does not go when its last field ends
set_end(KEYS[2], ARGV[$FIELD_END_FIELD])
return {'OK', 1}
