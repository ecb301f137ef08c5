-- needs: call, elements, leave, reading, change
-- gives: enter_tags, leave_tags
-- Indexes of sets of strings, stored as JSON: a set of ids per element.

-- One command, by call or leave, per element of *wanted* that is not in *but*.
local function send_elements(way, command, g, i, field, wanted, but)
  for element in pairs(wanted) do
    if not but[element] then
      way(command, g.class.base .. '/x/' .. field .. '/' .. element, g.ids[i])
    end
  end
end

local function enter_tags(list, field)
  for _, g in ipairs(list) do
    for i = 1, g.columns[field] ~= nil and g.count or 0 do
      local before, after = change(g, i, field)
      send_elements(call, 'SADD', g, i, field, elements(after), g.mode == 'i' and {} or elements(before))
    end
  end
end

local leave_tags = reading and function(list, field)
  for _, g in ipairs(list) do
    for i = 1, g.columns[field] ~= nil and g.count or 0 do
      local before, after = change(g, i, field)
      send_elements(leave, 'SREM', g, i, field, elements(before), elements(after))
    end
  end
end
