-- needs: call, SLICE, min, send, groups, reading
-- gives: reply
-- Writes the hashes of a batch that was judged.

-- Whether a record still holds a declared field, after what was set and without what is dropped.
local keeps_declared = reading and function(g, key)
  local declared = g.class.declared()
  for first = 1, #declared, SLICE do
    local last = min(first + SLICE - 1, #declared)
    for n, value in ipairs(call('HMGET', key, unpack(declared, first, last))) do
      if value and g.columns[declared[first + n - 1]] ~= false then
        return true
      end
    end
  end
  return false
end

local delete = reading and function(g, i, key)
  for _, name in ipairs(g.class.collections and g.class.collections() or {}) do
    call('UNLINK', g.class.base .. '/l/' .. name .. '/' .. g.ids[i])
  end
  local found = call('UNLINK', key)
  return g.overruled and 2 or found
end

local function write_hash(g, i, key, hash)
  local row, old, count = g.row + i * g.width, g.old and g.old[i], #hash
  for n = 2, count, 2 do
    row = row + 1
    hash[n] = ARGV[row]
  end
  send('HSET', key, hash, 1, count)
  local holds, unsure = g.declared, g.class.declared and (g.lost or old and g.last_drop and not g.declared)
  if unsure then
    holds = keeps_declared(g, key)
  end
  if holds and old and old[$MARKER] then
    call('HDEL', key, $MARKER)
  elseif not holds and g.class.declared and (unsure or not old) then
    -- a record that would hold no declared field holds the marker, so that it can be told from none
    call('HSET', key, $MARKER, '1')
  end
  if old and g.last_drop then
    send('HDEL', key, ARGV, g.first_drop, g.last_drop)
  end
  if g.lost then
    send('HDEL', key, g.lost, 1, #g.lost)
  end
  return g.mode == 'n' and hash[2] or old and 0 or 1
end

-- A list with the fields that the records of a group set, and room for their values.
local function pairs_of(g)
  local hash = {}
  for i = g.first_set, g.last do
    hash[#hash + 1] = ARGV[i]
    hash[#hash + 1] = ''
  end
  return hash
end

local reply = {'OK'}
for _, g in ipairs(groups) do
  local hash = pairs_of(g)
  for i = 1, g.count do
    local key = g.key or KEYS[g.key_at + i]
    local outcome = g.passed and 2 or g.mode == 'd' and delete(g, i, key) or write_hash(g, i, key, hash)
    if not g.follows then
      reply[#reply + 1] = outcome
    end
  end
end
