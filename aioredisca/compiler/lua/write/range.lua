-- needs: call, leave, send, reading, entered, left, change
-- gives: enter_range, leave_range
-- Range indexes: a sorted set of ids by the score of their value, which is its own where the client sends none.

-- A score that takes the place of another waits for the hash. Here it is tried whether it may be written: NX
-- changes nothing where there is an entry.
local function enter_range(list, field, key)
  local come, waiting, score = 0, nil, nil
  for _, g in ipairs(list) do
    local column = g.columns[field] and (g.extras and g.extras[field] or g.columns[field])
    for i = 1, column and g.count or 0 do
      local before, after = change(g, i, field)
      if before and after ~= before then
        waiting, score = g.ids[i], ARGV[g.row + i * g.width + column]
      elseif not before or g.mode == 'i' then
        entered[come + 1], entered[come + 2] = ARGV[g.row + i * g.width + column], g.ids[i]
        come = come + 2
      end
    end
  end
  send(call, 'ZADD', key, entered, 1, come)
  if waiting and come == 0 then
    call('ZADD', key, 'NX', score, waiting)
  end
end

local leave_range = reading and function(list, field, key)
  local come, gone = 0, 0
  for _, g in ipairs(list) do
    local column = g.columns[field] and (g.extras and g.extras[field] or g.columns[field])
    for i = 1, g.old and g.columns[field] ~= nil and g.count or 0 do
      local before, after = change(g, i, field)
      if before and not after then
        gone = gone + 1
        left[gone] = g.ids[i]
      elseif before and after ~= before then
        entered[come + 1], entered[come + 2] = ARGV[g.row + i * g.width + column], g.ids[i]
        come = come + 2
      end
    end
  end
  send(call, 'ZADD', key, entered, 1, come)
  send(leave, 'ZREM', key, left, 1, gone)
end
