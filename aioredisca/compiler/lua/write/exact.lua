-- needs: call, leave, send, wait, change
-- gives: write_exact
-- Exact indexes: a set of ids per value. Long values stand in the names of keys by their digest, which a hash
-- keeps per id: the client alone can make it.

-- What a record held and holds no more. A digest that is that of the new value was left over by a write that
-- failed: it is no old one.
local function leave_exact(base, field, digests, id, before, new_digest)
  if #before <= $LONG_VALUE then
    return wait(leave, 'SREM', base .. '/x/' .. field .. '/' .. before, {id})
  end
  local digest = call('HGET', digests, id)
  if digest and digest ~= new_digest then
    wait(leave, 'SREM', base .. '/y/' .. field .. '/' .. digest, {id})
  end
  if digest and not new_digest then
    wait(leave, 'HDEL', digests, {id})
  end
end

local function write_exact(list, field, digests)
  local entries = {}
  for _, g in ipairs(list) do
    local base = g.class.base
    for i = 1, g.columns[field] ~= nil and g.count or 0 do
      local before, value = change(g, i, field)
      local id = g.ids[i]
      local digest = value and #value > $LONG_VALUE and ARGV[g.row + i * g.width + g.extras[field]]
      if before and before ~= value then
        leave_exact(base, field, digests, id, before, digest)
      end
      if value and (value ~= before or g.mode == 'i') then
        local key = digest and base .. '/y/' .. field .. '/' .. digest or base .. '/x/' .. field .. '/' .. value
        local ids = entries[key]
        if ids then
          ids[#ids + 1] = id
        else
          entries[key] = {id}
        end
        if digest then
          call('HSET', digests, id, digest)
        end
      end
    end
  end
  for key, ids in pairs(entries) do
    send(call, 'SADD', key, ids, 1, #ids)
  end
end
