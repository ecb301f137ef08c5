-- needs: groups, RULES
-- gives:
-- What records must still hold to be written, and sends that may have been carried out before.

-- What a save makes of a field: its value, false where it removes it, nil where it leaves it.
local function meaning(g, i, field)
  local column = g.columns[field]
  return column and ARGV[g.row + i * g.width + column] or column
end

RULES.stale = function(g, i)
  local stale, row = {'STALE', g.number + i}, g.row + i * g.width + g.expectations
  for e = 1, g.expected do
    local field = ARGV[g.first_expected + e - 1]
    local is = (g.old[i] or {})[field] or false
    if (is and '=' .. is or '') ~= ARGV[row + e] and not (g.care == '1' and meaning(g, i, field) == is) then
      stale[#stale + 1] = field
    end
  end
  return #stale > 2 and stale
end

RULES.as_meant = function(g, i)
  for field in pairs(g.columns) do
    if (g.old[i][field] or false) ~= meaning(g, i, field) then
      return false
    end
  end
  return true
end

for _, g in ipairs(groups) do
  if g.care == '1' then -- what was sent is compared with all that it was to write
    g.first_read, g.last_read = g.first_drop or g.first_read, g.last
  end
end
