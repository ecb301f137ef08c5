-- needs: call, holds_value, groups, at, RULES
-- gives: fresh, holder, holder_key
-- Creates a record, unless another one holds its value of a unique index: then answers, or updates, that one.
--
-- CLASSES, KEYS and groups in ARGV: see README.md
-- ARGV     the group of the record to create, and maybe one that updates the holder (its key is that of the
--          create, too), then number of the key of the unique index (0: its id is asked for), what meta calls its state, its value,
--          how many fields it has, how many ids follow, those fields, their values, ids of records that must not be
--          updated for their caller is about to delete them, fields to read of the holder
-- reply    {'OK', 1, id} created  {'OK', 0, id, values ...} found (see get_or_create_reply.lua), or a refusal as of
--          every write, or {'WAITS', 1, id}: the record to be updated is one of these, or {'UNBUILT', 1}: the index is not ready

local fresh, update = groups[1], groups[2]
local index, members = KEYS[tonumber(ARGV[at + $UNIQUE_INDEX_KEY])], tonumber(ARGV[at + $UNIQUE_MEMBERS])
local waiting = tonumber(ARGV[at + $UNIQUE_WAITING])
if index and call('HGET', KEYS[fresh.class.meta], ARGV[at + $UNIQUE_STATE]) ~= 'ready' then
  return {'UNBUILT', 1}
end
local holder, holder_key = nil, nil
if index then
  holder = call('HGET', index, ARGV[at + $UNIQUE_VALUE])
elseif call('EXISTS', KEYS[fresh.key_at + 1]) == 1 then
  holder = fresh.ids[1]
end
at = at + $UNIQUE_SIZE
if holder then
  holder_key = fresh.class.base .. ':' .. holder
  for i = at + 1, at + members do
    holder = holder and holds_value(holder_key, ARGV[i], ARGV[i + members]) and holder
  end
  if holder and RULES.over and RULES.over(fresh.class.base, holder_key, holder) then
    holder = nil
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
for i = at + 1, at + waiting do
  if ARGV[i] == holder then
    return {'WAITS', 1, holder}
  end
end
at = at + waiting
