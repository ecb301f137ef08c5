-- needs: call, leave, SLICE, min, send, groups, reading, waiting
-- gives: reply
-- Writes the hashes of a batch that was judged, all of them or none, and then what waited for them.

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
  if g.class.collections then
    call('UNLINK', key, unpack(g.class.collections(g.class.base, g.ids[i])))
  else
    call('UNLINK', key)
  end
  return g.overruled and 2 or g.old[i] and 1 or 0
end

local function write_hash(g, i, key, hash)
  local row, old, count = g.row + i * g.width, g.old and g.old[i], #hash
  if not old and g.class.collections then -- a new record has nothing of one that went without the library
    call('UNLINK', unpack(g.class.collections(g.class.base, g.ids[i])))
  end
  for n = 2, count, 2 do
    row = row + 1
    hash[n] = ARGV[row]
  end
  send(call, 'HSET', key, hash, 1, count)
  local holds, unsure = g.declared, g.class.declared and (g.lost or old and g.last_drop and not g.declared)
  if unsure then
    holds = keeps_declared(g, key)
  end
  if holds and old and old[$MARKER] then
    leave('HDEL', key, $MARKER)
  elseif not holds and g.class.declared and (unsure or not old) then
    -- a record that would hold no declared field holds the marker, so that it can be told from none
    call('HSET', key, $MARKER, '1')
  end
  if old and g.last_drop then
    send(call, 'HDEL', key, ARGV, g.first_drop, g.last_drop)
  end
  if g.lost then
    send(call, 'HDEL', key, g.lost, 1, #g.lost)
  end
  return old and 0 or 1
end

-- The new texts of the numbers that were added to.
local counted = reading and function(g, i)
  local texts, row = {}, g.row + i * g.width
  for n = 1, g.sums do
    texts[n] = ARGV[row + g.columns[ARGV[g.first_sum + n]]]
  end
  return texts
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

-- The server judges the right to each command when it comes. Where several are to come, each is tried first, on what
-- is not there or as it is already.
local sets, drops, unlinks = false, false, false
for _, g in ipairs(groups) do
  if not g.passed then
    sets = sets or g.mode ~= 'd'
    drops = drops or g.last_drop or g.lost
    unlinks = unlinks or g.mode == 'd' or g.class.collections and g.mode ~= 'u'
  end
end
if sets and (drops or unlinks) then
  local class = groups[1].class
  call('HSET', KEYS[class.meta], class.permit, class.permitted)
  if drops then
    call('HDEL', KEYS[class.meta], $MARKER)
  end
  if unlinks then
    call('UNLINK', class.base .. '/-')
  end
end
for _, g in ipairs(groups) do -- keys of the call were judged by the server, those of records found by it were not
  if g.follows then
    call('HDEL', g.key, '\0')
  end
end

local reply = {'OK'}
for _, g in ipairs(groups) do
  local hash = pairs_of(g)
  for i = 1, g.count do
    local key = g.key or KEYS[g.key_at + i]
    local outcome = g.passed and 2 or g.mode == 'd' and delete(g, i, key) or write_hash(g, i, key, hash)
    if not g.follows then
      if g.sums and not g.passed and g.mode ~= 'd' then
        outcome = {outcome, counted(g, i), unpack(g.lost or {})}
      elseif g.lost then
        outcome = {outcome, unpack(g.lost)}
      end
      reply[#reply + 1] = outcome
    end
  end
end
for _, one in ipairs(waiting) do
  send(one[1], one[2], one[3], one[4], 1, #one[4])
end
