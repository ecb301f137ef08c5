-- needs: sortable, send, change
-- gives: write_sorted
-- Indexes of text by its bytes: the member is the value, NUL and the id, so that NUL must not stand in it.

local function sorted_member(value, id)
  return sortable(value) .. '\0' .. id
end

local function write_sorted(list, field, key)
  local entered, left = {}, {}
  for _, g in ipairs(list) do
    for i = 1, g.columns[field] ~= nil and g.count or 0 do
      local before, after = change(g, i, field)
      if before and before ~= after then
        left[#left + 1] = sorted_member(before, g.ids[i])
      end
      if after and (after ~= before or g.mode == 'i') then
        entered[#entered + 1] = '0'
        entered[#entered + 1] = sorted_member(after, g.ids[i])
      end
    end
  end
  send('ZREM', key, left, 1, #left)
  send('ZADD', key, entered, 1, #entered)
end
