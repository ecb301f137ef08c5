-- needs: call, groups
-- gives: adds
-- What is to be added to collections once the records are written: looked at before, for then nothing may fail.
--
-- ARGV   behind the groups, per command: number of the record, number of the key, name of the collection, the command,
--        how many arguments follow, and these. At the very end: where the first begins.
-- reply  a refusal {'COUNTER', record, name} where a counter is no number of up to 18 digits

local adds, add_at = {}, tonumber(ARGV[#ARGV])
local LOOKS = {RPUSH = 'LLEN', LTRIM = 'LLEN', SADD = 'SCARD', ZADD = 'ZCARD', INCRBY = 'GET'}

local there = {} -- by the number of a record: whether it is stored, and keeps what its collections hold
for _, g in ipairs(groups) do
  for i = 1, g.old and not g.follows and g.count or 0 do
    there[g.number + i] = g.old[i] and true
  end
end

while add_at < #ARGV do
  local $ADD_NAMES = unpack(ARGV, add_at, add_at + $ADD_SIZE - 1)
  local first = add_at + $ADD_SIZE
  record = tonumber(record)
  adds[#adds + 1] = {record = record, key = KEYS[tonumber(key)], command = command, first = first, last = first + arguments - 1}
  add_at = first + arguments
  local held = there[record] and call(LOOKS[command], KEYS[tonumber(key)]) -- another type stops the script here
  if command == 'INCRBY' and held and not (string.match(held, '^-?%d+$') and #held < 19) then
    return {'COUNTER', record, name}
  end
end
