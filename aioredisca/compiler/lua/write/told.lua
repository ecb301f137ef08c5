-- needs: groups, tell
-- gives:
-- Of classes with a feed, once the hashes are written: an entry for each record that is not as it was. What is set is
-- told whatever was there before, for of most fields nobody has looked.

-- What becomes of the fields of record i of a group, as feed.lua has it. Those that the class does not declare, and the
-- ends of records, are not told.
local function fields_told(g, i, shown)
  local fields, row = {}, g.row + i * g.width
  local function add(name, sign, value)
    if shown[name] then
      fields[#fields + 1], fields[#fields + 2] = sign .. name, value
    end
  end
  for n = g.first_set, g.last do
    local name = ARGV[n]
    local sign, column = shown[name], g.columns[name] -- a reference that was lost is set no more
    if column then
      add(name, sign, sign == '=' and ARGV[row + column] or '')
    end
  end
  for n = g.first_drop or 1, g.last_drop or 0 do
    add(ARGV[n], '-', '')
  end
  for _, name in ipairs(g.lost or {}) do
    add(name, '-', '')
  end
  return fields
end

for _, g in ipairs(groups) do
  local told = g.class.feed and not g.passed and g.mode ~= 'i'
  local shown = told and g.class.shown()
  for i = 1, told and g.count or 0 do
    local old = g.old and g.old[i]
    local fields = g.mode ~= 'd' and fields_told(g, i, shown) or {}
    if g.mode == 'd' and old then
      tell(g.class.base, 'd', g.ids[i], fields)
    elseif g.mode ~= 'd' and (fields[1] or not old) then
      tell(g.class.base, old and 'u' or 'c', g.ids[i], fields)
    end
  end
end
