-- needs: call, leave, send, reading, change
-- gives: enter_exact, leave_exact
-- Exact indexes: a set of ids per value. Long values stand in the names of keys by their digest, which a hash
-- keeps per id: the client alone can make it.

local function exact_key(g, i, field, value)
  if #value > $LONG_VALUE then
    return g.class.base .. '/y/' .. field .. '/' .. ARGV[g.row + i * g.width + g.extras[field]]
  end
  return g.class.base .. '/x/' .. field .. '/' .. value
end

-- A digest that is written here while the write fails later is known by leave_exact: see there.
local function enter_exact(list, field, digests)
  local entries = {}
  for _, g in ipairs(list) do
    for i = 1, g.columns[field] ~= nil and g.count or 0 do
      local before, value = change(g, i, field)
      if before and before ~= value and #before > $LONG_VALUE then
        g.digests = g.digests or {}
        g.digests[field .. '/' .. i] = call('HGET', digests, g.ids[i])
      end
      if value and (value ~= before or g.mode == 'i') then
        local key = exact_key(g, i, field, value)
        local ids = entries[key]
        if ids then
          ids[#ids + 1] = g.ids[i]
        else
          entries[key] = {g.ids[i]}
        end
        if #value > $LONG_VALUE then
          call('HSET', digests, g.ids[i], ARGV[g.row + i * g.width + g.extras[field]])
        end
      end
    end
  end
  for key, ids in pairs(entries) do
    send(call, 'SADD', key, ids, 1, #ids)
  end
end

-- A digest that stood already for the new value was left over by a write that failed: it is no old one.
local leave_exact = reading and function(list, field, digests)
  for _, g in ipairs(list) do
    local base = g.class.base
    for i = 1, g.old and g.columns[field] ~= nil and g.count or 0 do
      local before, value = change(g, i, field)
      local id, old = g.ids[i], g.digests and g.digests[field .. '/' .. i]
      local new = value and #value > $LONG_VALUE and ARGV[g.row + i * g.width + g.extras[field]]
      if old and old ~= new then
        leave('SREM', base .. '/y/' .. field .. '/' .. old, id)
      elseif before and before ~= value and #before <= $LONG_VALUE then
        leave('SREM', base .. '/x/' .. field .. '/' .. before, id)
      end
      if old and not new then
        leave('HDEL', digests, id)
      end
    end
  end
end
