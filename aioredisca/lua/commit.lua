-- Writes the hashes of a batch that was judged.

-- Whether a record still holds a declared field, after what was set and without what is dropped.
local function keeps_declared(g, i)
  local declared = g.class.declared()
  for first = 1, #declared, SLICE do
    local last = min(first + SLICE - 1, #declared)
    for n, value in ipairs(call('HMGET', g.keys[i], unpack(declared, first, last))) do
      if value and g.columns[declared[first + n - 1]] ~= false then
        return true
      end
    end
  end
  return false
end

-- A record that would hold no declared field holds the marker, so that it can be told from none.
local function write_marker(g, i)
  local old = g.old[i]
  if g.declared and not g.lost then
    if old and old[MARKER] then
      call('HDEL', g.keys[i], MARKER)
    end
  elseif not old or (g.lost or g.last_drop >= g.first) and not keeps_declared(g, i) then
    call('HSET', g.keys[i], MARKER, '1')
  end
end

local function write_hash(g, i, pairs_)
  local key, row, first = g.keys[i], g.row + i * g.width, g.first_set - 1
  for n = 1, g.last - first do
    pairs_[2 * n - 1], pairs_[2 * n] = ARGV[first + n], ARGV[row + n]
  end
  send('HSET', key, pairs_, 1, 2 * (g.last - first))
  if g.class.declared then
    write_marker(g, i)
  end
  if g.old[i] then
    send('HDEL', key, g.names, g.first, g.last_drop)
    send('HDEL', key, g.lost or {}, 1, #(g.lost or {}))
  end
  return g.mode == 'n' and ARGV[row + 1] or g.old[i] and 0 or 1
end

local function delete(g, i)
  for _, name in ipairs(g.class.collections and g.class.collections() or {}) do
    call('UNLINK', g.class.base .. '/l/' .. name .. '/' .. g.ids[i])
  end
  return call('UNLINK', g.keys[i]) > 0 and not g.overruled and 1 or 0
end

local reply, pairs_ = {'OK'}, {}
for _, g in ipairs(groups) do
  for i = 1, g.count do
    local outcome = g.passed and 2 or (g.mode == 'd' and delete or write_hash)(g, i, pairs_)
    if not g.follows then
      reply[#reply + 1] = outcome
    end
  end
end
