-- needs: call, leave, sortable, send, reading, entered, left, change
-- gives: enter_sorted, leave_sorted
-- Indexes of text by its bytes: the member is the value, NUL and the id, so that NUL must not stand in it.

local function sorted_member(value, id)
  return sortable(value) .. '\0' .. id
end

local function enter_sorted(list, field, key)
  local come = 0
  for _, g in ipairs(list) do
    for i = 1, g.columns[field] and g.count or 0 do
      local before, after = change(g, i, field)
      if after ~= before or g.mode == 'i' then
        entered[come + 1], entered[come + 2] = '0', sorted_member(after, g.ids[i])
        come = come + 2
      end
    end
  end
  send(call, 'ZADD', key, entered, 1, come)
end

local leave_sorted = reading and function(list, field, key)
  local gone = 0
  for _, g in ipairs(list) do
    for i = 1, g.old and g.columns[field] ~= nil and g.count or 0 do
      local before, after = change(g, i, field)
      if before and before ~= after then
        gone = gone + 1
        left[gone] = sorted_member(before, g.ids[i])
      end
    end
  end
  send(leave, 'ZREM', key, left, 1, gone)
end
