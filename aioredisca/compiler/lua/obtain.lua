-- Creates a record, unless another one holds its value of a unique index: then answers, or updates, that one.
--
-- CLASSES, KEYS and groups in ARGV: see write.lua
-- ARGV     the group of the record to create, and maybe one that updates the holder (its key is that of the
--          create, too), then number of the key of the unique index, its value, how many fields it has,
--          those fields, their values, fields to read of the holder
-- reply    {'OK', 1, id} created  {'OK', 0, id, values ...} found (see found.lua), or a refusal as of write.lua

local fresh, update = groups[1], groups[2]
local holder, holder_key = call('HGET', KEYS[tonumber(ARGV[at + 1])], ARGV[at + 2]), nil
local members = tonumber(ARGV[at + 3])
at = at + 3
if holder then -- a claim holds only while its record holds the values
  holder_key = fresh.class.base .. ':' .. holder
  for i, value in ipairs(call('HMGET', holder_key, unpack(ARGV, at + 1, at + members))) do
    holder = value == ARGV[at + members + i] and holder
  end
end
groups = {fresh}
if holder then
  groups = {update}
end
for _, g in ipairs(groups) do
  g.number = 0
  if holder then
    g.key, g.ids = holder_key, {holder}
  end
end
at = at + 2 * members
