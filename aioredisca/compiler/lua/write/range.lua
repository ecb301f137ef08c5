-- needs: send, entered, left, change
-- gives: write_range
-- Range indexes: a sorted set of ids by the score of their value.

local function write_range(list, field, key)
  local come, gone = 0, 0
  for _, g in ipairs(list) do
    local column = g.columns[field]
    local score = g.extras and g.extras[field] or column -- where the client sends none, the value is its own
    for i = 1, column ~= nil and g.count or 0 do
      local before, after = change(g, i, field)
      if after and (after ~= before or g.mode == 'i') then
        entered[come + 1], entered[come + 2] = ARGV[g.row + i * g.width + score], g.ids[i]
        come = come + 2
      elseif before and not after then
        gone = gone + 1
        left[gone] = g.ids[i]
      end
    end
  end
  send('ZREM', key, left, 1, gone)
  send('ZADD', key, entered, 1, come)
end
