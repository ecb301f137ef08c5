-- needs: call, leave, send, entered, wait, change
-- gives: write_range
-- Range indexes: a sorted set of ids by the score of their value, which is its own where the client sends none.

-- A score that takes the place of another waits for the hash. Here it is tried whether it may be written: NX
-- changes nothing where there is an entry.
local function write_range(list, field, key)
  local come, replaced, gone = 0, nil, nil
  for _, g in ipairs(list) do
    local column = g.columns[field]
    local score = g.extras and g.extras[field] or column
    for i = 1, column ~= nil and g.count or 0 do
      local before, after = change(g, i, field)
      if before and not after then
        gone = gone or {}
        gone[#gone + 1] = g.ids[i]
      elseif before and after ~= before then
        replaced = replaced or {}
        replaced[#replaced + 1], replaced[#replaced + 2] = ARGV[g.row + i * g.width + score], g.ids[i]
      elseif after and (not before or g.mode == 'i') then
        entered[come + 1], entered[come + 2] = ARGV[g.row + i * g.width + score], g.ids[i]
        come = come + 2
      end
    end
  end
  send(call, 'ZADD', key, entered, 1, come)
  if replaced and come == 0 then
    call('ZADD', key, 'NX', replaced[1], replaced[2])
  end
  wait(call, 'ZADD', key, replaced)
  wait(leave, 'ZREM', key, gone)
end
