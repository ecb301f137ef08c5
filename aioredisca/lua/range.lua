-- Range indexes: a sorted set of ids by the score of their value.

local function write_range(list, field, key)
  local entered, left = {}, {}
  for _, g in ipairs(list) do
    if g.columns[field] ~= nil then
      for i = 1, g.count do
        local before, after = change(g, i, field)
        if after and (after ~= before or g.mode == 'i') then
          entered[#entered + 1] = extra(g, i, field)
          entered[#entered + 1] = g.ids[i]
        elseif before and not after then
          left[#left + 1] = g.ids[i]
        end
      end
    end
  end
  send('ZREM', key, left, 1, #left)
  send('ZADD', key, entered, 1, #entered)
end
