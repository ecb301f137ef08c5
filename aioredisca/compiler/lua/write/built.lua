-- needs: call, groups, at, CLASSES, left, building, refused
-- gives:
-- How far the building is, in the script that went on with it, and which records the indexes lack.
--
-- KEYS   the last one is the set of these
-- ARGV   behind those of building.lua: members to remove from the set, members to add
-- reply  {'OK', {number of the record, holder, field ...} for each value that another one holds}

local bad, meta = KEYS[#KEYS], KEYS[CLASSES[1].meta]
if ARGV[at + $BUILD_CURSOR] ~= '' then
  for entry in pairs(building) do
    call('HSET', meta, 'cur:' .. entry, ARGV[at + $BUILD_CURSOR])
  end
end
local first = at + $BUILD_SIZE + 2 * ARGV[at + $BUILD_EXPECTED] + ARGV[at + $BUILD_ENTRIES]
for i = first + 1, #ARGV do
  if i <= first + ARGV[at + $BUILD_MENDED] then
    call('ZREM', bad, ARGV[i])
  else
    call('ZADD', bad, '0', ARGV[i])
  end
end

-- The claim on these fields, as signatures name it: together each after the number of its characters.
local function entry_of(fields)
  local entry = 'U:'
  for _, field in ipairs(fields) do
    local _, length = string.gsub(field, '[^\128-\191]', '')
    entry = entry .. length .. ':' .. field
  end
  return fields[2] and entry or 'u:' .. fields[1]
end

for _, one in ipairs(left) do
  local entry = entry_of({unpack(one, 3)})
  for _, g in ipairs(groups) do
    local id = one[1] > g.number and g.ids[one[1] - g.number]
    if id and building[entry] then -- either of the two may be mended
      call('ZADD', bad, '0', entry .. '\0' .. id, '0', entry .. '\0' .. one[2])
    end
  end
end
return refused or {'OK', unpack(left)}
