-- Creates a record, unless another one holds its value of a unique index: then answers, or updates, that one.
--
-- CLASSES, KEYS and the form of a record in ARGV: see write.lua
-- ARGV     the record to create, 1 or 0: an update of the holder follows, as a record without id,
--          then number of the unique index (negative: of the compound), its value, fields to read of the holder
-- reply    {'OK', 1, id} created  {'OK', 0, id, values ...} found, or a refusal as write.lua has them

local strange = strange_signature()
if strange then
  return strange
end
local fresh = take_record(1)
local update = take() == '1' and take_record(1)
local number, value = tonumber(take()), take()
local index = number > 0 and fresh.class.indexes[number] or fresh.class.compounds[-number]
local holder = holder_of(fresh, index, value)
local holder_key = holder and string.sub(KEYS[fresh.class.meta], 1, -6) .. ':' .. holder
local record = not holder and fresh or update
if record then
  record.id, record.key = holder or fresh.id, holder_key or fresh.key
  local outcome = prepare(record) or commit({record})
  if outcome[1] ~= 'OK' then
    return outcome
  end
end
if not holder then
  return {'OK', 1, fresh.id}
end
local reply, names = {'OK', 0, holder}, {}
for i = at + 1, #ARGV do
  names[#names + 1] = ARGV[i]
end
local values = stored(holder_key, names)
for i, name in ipairs(names) do
  reply[i + 3] = values[name]
end
return reply
