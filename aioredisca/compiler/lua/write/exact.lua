-- needs: call, send, change
-- gives: enter_exact, leave_exact
-- Exact indexes: a set of ids per value. Long values stand in the names of keys by their digest, which a hash
-- keeps per id: the client alone can make it.

local function exact_key(g, i, field, value)
  if #value > $LONG_VALUE then
    return g.class.base .. '/y/' .. field .. '/' .. ARGV[g.row + i * g.width + g.extras[field]]
  end
  return g.class.base .. '/x/' .. field .. '/' .. value
end

local function enter_exact(list, field)
  local entries = {}
  for _, g in ipairs(list) do
    for i = 1, g.columns[field] and g.count or 0 do
      local before, value = change(g, i, field)
      if value ~= before or g.mode == 'i' then
        local key = exact_key(g, i, field, value)
        local ids = entries[key]
        if ids then
          ids[#ids + 1] = g.ids[i]
        else
          entries[key] = {g.ids[i]}
        end
      end
    end
  end
  for key, ids in pairs(entries) do
    send('SADD', key, ids, 1, #ids)
  end
end

-- What is new has left nothing, but its digests are written here, once those before them were read.
local function leave_exact(list, field, digests)
  for _, g in ipairs(list) do
    for i = 1, (g.old or g.extras) and g.columns[field] ~= nil and g.count or 0 do
      local before, value = change(g, i, field)
      local id, base = g.ids[i], g.class.base
      if before and before ~= value and #before <= $LONG_VALUE then
        call('SREM', base .. '/x/' .. field .. '/' .. before, id)
      elseif before and before ~= value then
        local digest = call('HGET', digests, id)
        call('HDEL', digests, id)
        if digest then
          call('SREM', base .. '/y/' .. field .. '/' .. digest, id)
        end
      end
      if value and #value > $LONG_VALUE then
        call('HSET', digests, id, ARGV[g.row + i * g.width + g.extras[field]])
      end
    end
  end
end
