-- needs: send
-- gives: entered, left, numbers, change, write_none, write_ids
-- What a write does to indexes. Each kind has a file of its own; rendering.py writes out one call per index,
-- in this order: claims are judged, entries in keys that values name are added, claims are written,
-- such entries are removed, the other indexes are written. An entry too many is a hint, which reads see through,
-- so that where a key holds something foreign and the server stops there, nothing is lost.
-- What only records that were there need is not even built for new ones.

-- Lists that these functions use one after the other, instead of new ones each time.
local entered, left, numbers = {}, {}, {}

-- The value of a field before this write and after it, nil where there is none.
local function change(g, i, field)
  local column, old = g.columns[field], g.old and g.old[i]
  local before = old and old[field] or nil
  if column then
    return before, ARGV[g.row + i * g.width + column]
  elseif column == nil and old then
    return before, before
  end
  return before, nil
end

-- Set of the ids without a value. Nothing of a record that did not exist can stand there.
local function write_none(list, field, key)
  local come, gone = 0, 0
  for _, g in ipairs(list) do
    local anew, deleted, column = g.mode == 'i', g.mode == 'd', g.columns[field]
    for i = 1, (g.old or not column) and g.count or 0 do
      local old = g.old and g.old[i]
      if column ~= nil or not old then
        local before, after = change(g, i, field)
        if (after or deleted) and (old or deleted) and not before or anew and after then
          gone = gone + 1
          left[gone] = g.ids[i]
        elseif not after and not deleted and (before or not old or anew) then
          come = come + 1
          entered[come] = g.ids[i]
        end
      end
    end
  end
  send('SREM', key, left, 1, gone)
  send('SADD', key, entered, 1, come)
end

-- Sorted set of all ids, score 0.
local function write_ids(list, key)
  local come, gone = 0, 0
  for _, g in ipairs(list) do
    for i = 1, g.count do
      if g.mode == 'd' then
        gone = gone + 1
        left[gone] = g.ids[i]
      elseif g.mode == 'i' or not (g.old and g.old[i]) then
        entered[come + 1], entered[come + 2] = '0', g.ids[i]
        come = come + 2
      end
    end
  end
  send('ZREM', key, left, 1, gone)
  send('ZADD', key, entered, 1, come)
end
