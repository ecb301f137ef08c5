-- needs: call, find, write
-- gives:
-- Changes the first records that a query finds, and answers which: nobody comes between the choice and the change.
--
-- find and write are scripts of their own, which get KEYS and ARGV as if they were called.
--
-- KEYS   meta, those of the query, those of the write of one record
-- ARGV   the run TAKE of positions.py, arguments of the query, the condition (see chosen.lua), then the one group of
--        changes of one record
-- reply  {'OK', what the query answers, what the write answers}, or {'CHANGED'}: meta is not what was believed, or
--        {'REFUSED', id, why nothing was written}

local $TAKE_NAMES = unpack(ARGV, 1, $TAKE_SIZE)
if (call('HGET', KEYS[1], 'ver') or '') ~= word then
  return {'CHANGED'}
end

local place = $TAKE_SIZE
local function next_arguments(count)
  local list = {}
  for i = 1, count do
    list[i] = ARGV[place + i]
  end
  place = place + count
  return list
end

local asked, condition = next_arguments(tonumber(query)), next_arguments(tonumber(judged))
local group = next_arguments(#ARGV - place)
local asked_keys, write_keys, first = {}, {}, 1 + tonumber(query_keys)
for i = 2, first do
  asked_keys[i - 1] = KEYS[i]
end
local found = find(asked_keys, asked, condition)
local rows, ids = found[3], {}
for i = 1, #rows, 2 do
  ids[#ids + 1] = rows[i]
end
if #ids == 0 then
  return {'OK', found, {'OK'}}
end

fixed = tonumber(fixed)
for i = 1, fixed do
  write_keys[i] = KEYS[first + i]
end
for i = 1, #ids do
  write_keys[fixed + i] = records .. ids[i]
end
for i = 1, #KEYS - first - fixed do -- what references name, behind room for all records
  write_keys[fixed + $BATCH + i] = KEYS[first + fixed + i]
end
local changes = {#ids}
for _ = 1, #ids do
  for i = 1, #group do
    changes[#changes + 1] = group[i]
  end
end
local written = write(write_keys, changes)
if written[1] ~= 'OK' then
  return {'REFUSED', written[1] ~= 'SCHEMA' and ids[written[2]] or '', written}
end
return {'OK', found, written}
