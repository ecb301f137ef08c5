-- needs: call, leave, send, sortable, entered, wait, change
-- gives: write_sorted
-- Indexes of text by its bytes: the member is the value, NUL and the id, so that NUL must not stand in it.

local function sorted_member(value, id)
  return sortable(value) .. '\0' .. id
end

local function write_sorted(list, field, key)
  local come, gone = 0, nil
  for _, g in ipairs(list) do
    for i = 1, g.columns[field] ~= nil and g.count or 0 do
      local before, after = change(g, i, field)
      if before and before ~= after then
        gone = gone or {}
        gone[#gone + 1] = sorted_member(before, g.ids[i])
      end
      if after and (after ~= before or g.mode == 'i') then
        entered[come + 1], entered[come + 2] = '0', sorted_member(after, g.ids[i])
        come = come + 2
      end
    end
  end
  send(call, 'ZADD', key, entered, 1, come)
  wait(leave, 'ZREM', key, gone)
end
