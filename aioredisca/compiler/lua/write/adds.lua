-- needs: call, groups
-- gives: adds
-- What is to be added to collections once the records are written: looked at before, for then nothing may fail.
--
-- ARGV   behind the groups, per command: number of the record, number of the key, name of the collection, the command,
--        how many arguments follow, and these. At the very end: where the first begins.
-- reply  a refusal {'COUNTER', record, name} where a counter is no number of up to 18 digits

local adds, add_at = {}, tonumber(ARGV[#ARGV])
local LOOKS = {RPUSH = 'LLEN', LTRIM = 'LLEN', SADD = 'SCARD', ZADD = 'ZCARD', INCRBY = 'GET'}
local TRIES = {RPUSH = {'0'}, LTRIM = {'0', '-1'}, SADD = {'0'}, ZADD = {'0', '0'}, INCRBY = {'0'}}
local untried = {} -- commands with the arguments to try them with

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
  local digits = command == 'INCRBY' and string.match(held or '0', '^-?(%d+)$')
  if command == 'INCRBY' and not (digits and #digits < 19) then
    return {'COUNTER', record, name}
  end
  untried[command] = TRIES[command]
end

-- The server judges the right to each command when it comes: each is tried on a key that holds nothing.
local nothing = groups[1].class.base .. '/-'
call('UNLINK', nothing)
for command, arguments in pairs(untried) do
  call(command, nothing, unpack(arguments))
  call('UNLINK', nothing)
end
