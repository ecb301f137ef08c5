-- needs:
-- gives: joined
-- Several values as one, nothing where one of them is missing.

local function joined(values, count)
  local parts = {}
  for i = 1, count do
    if not values[i] then
      return nil
    end
    parts[i] = #values[i] .. ':' .. values[i]
  end
  return table.concat(parts)
end
