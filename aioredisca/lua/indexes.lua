-- What a write does to indexes. Each kind has a file of its own; scripts.py writes out one call per index,
-- in this order: claims are judged, entries in keys that values name are added, claims are written,
-- such entries are removed, the other indexes are written. An entry too many is a hint, which reads see through,
-- so that where a key holds something foreign and the server stops there, nothing is lost.

-- The value of a field before this write and after it, nil where there is none.
local function change(g, i, field)
  local column, old = g.columns[field], g.old[i]
  local before = old and old[field] or nil
  if column then
    return before, ARGV[g.row + i * g.width + column]
  elseif column == nil and old then
    return before, before
  end
  return before, nil
end

-- The score or digest of the new value: where the client sends none, the value is its own score.
local function extra(g, i, field)
  return ARGV[g.row + i * g.width + (g.extras[field] or g.columns[field])]
end

-- Set of the ids without a value. Nothing of a record that did not exist can stand there.
local function write_none(list, field, key)
  local entered, left = {}, {}
  for _, g in ipairs(list) do
    local anew, deleted, column = g.mode == 'i', g.mode == 'd', g.columns[field]
    for i = 1, g.count do
      local old = g.old[i]
      if column ~= nil or not old then
        local before, after = change(g, i, field)
        if (after or deleted) and (old or deleted) and not before or anew and after then
          left[#left + 1] = g.ids[i]
        elseif not after and not deleted and (before or not old or anew) then
          entered[#entered + 1] = g.ids[i]
        end
      end
    end
  end
  send('SREM', key, left, 1, #left)
  send('SADD', key, entered, 1, #entered)
end

-- Sorted set of all ids, score 0.
local function write_ids(list, key)
  local entered, left = {}, {}
  for _, g in ipairs(list) do
    for i = 1, g.count do
      if g.mode == 'd' then
        left[#left + 1] = g.ids[i]
      elseif not g.old[i] or g.mode == 'i' then
        entered[#entered + 1] = '0'
        entered[#entered + 1] = g.ids[i]
      end
    end
  end
  send('ZREM', key, left, 1, #left)
  send('ZADD', key, entered, 1, #entered)
end
