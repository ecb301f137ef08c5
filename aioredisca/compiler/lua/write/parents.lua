-- needs: call, groups
-- gives:
-- References with check=: what they are set to must be there once the batch is done.
--
-- A group with g.parents such references has their names in ARGV from g.first_parent + 1 on, and a row has the
-- numbers of the keys that they name from g.parent_at + 1 on.

local there = {} -- key of a record -> whether it is there in the end
for _, g in ipairs(groups) do
  for i = 1, not g.passed and g.count or 0 do
    there[g.key or KEYS[g.key_at + i]] = g.mode ~= 'd'
  end
end

local function is_there(key)
  if there[key] == nil then
    there[key] = call('EXISTS', key) == 1
  end
  return there[key]
end

for _, g in ipairs(groups) do
  for i = 1, g.parents and not g.passed and g.count or 0 do
    local row = g.row + i * g.width
    for n = 1, g.parents do
      local field = ARGV[g.first_parent + n]
      local column = g.columns[field] -- none where a delete in the batch took the reference, or all of it, away
      if column and not is_there(KEYS[tonumber(ARGV[row + g.parent_at + n])]) then
        return {'ORPHAN', g.number + i, field, ARGV[row + column]}
      end
    end
  end
end
