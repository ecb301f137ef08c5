-- needs: call, elements, leave, wait, change
-- gives: write_tags
-- Indexes of sets of strings, stored as JSON: a set of ids per element.

local function write_tags(list, field)
  for _, g in ipairs(list) do
    local stem = g.class.base .. '/x/' .. field .. '/'
    for i = 1, g.columns[field] ~= nil and g.count or 0 do
      local before, after = change(g, i, field)
      before, after = elements(before), elements(after)
      for element in pairs(after) do
        if not before[element] or g.mode == 'i' then
          call('SADD', stem .. element, g.ids[i])
        end
      end
      for element in pairs(before) do
        if not after[element] then
          wait(leave, 'SREM', stem .. element, {g.ids[i]})
        end
      end
    end
  end
end
