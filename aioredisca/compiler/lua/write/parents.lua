-- needs: call, groups
-- gives:
-- References with check=: what they are set to must be there once the batch is done.
--
-- A group with g.parents such references has their names in ARGV from g.first_parent + 1 on, and a row has the
-- numbers of the keys that they name from g.parent_at + 1 on; with a colon and the length of the class's base, if
-- its records may end.

local there = {} -- key of a record -> whether it is there in the end
for _, g in ipairs(groups) do
  for i = 1, not g.passed and g.count or 0 do
    there[g.key or KEYS[g.key_at + i]] = g.mode ~= 'd'
  end
end

-- The rule of over.lua, for a class that may be no other of the call's.
local function is_over(key, length)
  if call('PTTL', key) ~= 0 then
    return false
  end
  local moment = call('ZSCORE', string.sub(key, 1, length) .. '/t', string.sub(key, length + 2))
  local time = call('TIME')
  return moment and tonumber(moment) < time[1] * 1000 + math.floor(time[2] / 1000)
end

local function is_there(key, length)
  if there[key] == nil then
    there[key] = call('EXISTS', key) == 1 and not (length and is_over(key, length))
  end
  return there[key]
end

for _, g in ipairs(groups) do
  for i = 1, g.parents and not g.passed and g.count or 0 do
    local row = g.row + i * g.width
    for n = 1, g.parents do
      local field = ARGV[g.first_parent + n]
      local column = g.columns[field] -- none where a delete in the batch took the reference, or all of it, away
      local place = ARGV[row + g.parent_at + n]
      local number, length = tonumber(place), nil
      if not number then
        number, length = string.match(place, '^(%d+):(%d+)$')
      end
      if column and not is_there(KEYS[tonumber(number)], tonumber(length)) then
        return {'ORPHAN', g.number + i, field, ARGV[row + column]}
      end
    end
  end
end
