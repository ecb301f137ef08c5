-- needs: call, leave, send, reading
-- gives: entered, left, numbers, change, enter_none, leave_none, enter_ids, leave_ids
-- What a write does to indexes. Each kind has a file of its own; rendering.py writes out the calls per index, in
-- this order, so that where the server stops in the middle (a key holds something foreign, a right was taken
-- away), nothing is lost: an entry too many is a hint, which reads see through.
--
--   claims are judged: their keys are read
--   enter_   entries are added; a score that is to be replaced is tried, so that it cannot fail later
--   the hashes are written: commit.lua
--   leave_   claims and scores take the place of others, and entries that are no longer true go
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

-- Set of the ids without a value.
local function enter_none(list, field, key)
  local come = 0
  for _, g in ipairs(list) do
    local column = g.columns[field]
    for i = 1, not column and g.mode ~= 'd' and g.count or 0 do
      local old = g.old and g.old[i]
      local before, after = change(g, i, field)
      if not after and (before or not old or g.mode == 'i') then
        come = come + 1
        entered[come] = g.ids[i]
      end
    end
  end
  send(call, 'SADD', key, entered, 1, come)
end

-- Nothing of a record that did not exist can stand there.
local leave_none = reading and function(list, field, key)
  local gone = 0
  for _, g in ipairs(list) do
    local deleted = g.mode == 'd'
    for i = 1, g.old and (deleted or g.columns[field]) and g.count or 0 do
      if g.mode == 'i' or not change(g, i, field) and (deleted or g.old[i]) then
        gone = gone + 1
        left[gone] = g.ids[i]
      end
    end
  end
  send(leave, 'SREM', key, left, 1, gone)
end

-- Sorted set of all ids, score 0.
local function enter_ids(list, key)
  local come = 0
  for _, g in ipairs(list) do
    for i = 1, g.mode ~= 'd' and g.count or 0 do
      if g.mode == 'i' or not (g.old and g.old[i]) then
        entered[come + 1], entered[come + 2] = '0', g.ids[i]
        come = come + 2
      end
    end
  end
  send(call, 'ZADD', key, entered, 1, come)
end

local leave_ids = reading and function(list, key)
  local gone = 0
  for _, g in ipairs(list) do
    for i = 1, g.mode == 'd' and g.count or 0 do
      gone = gone + 1
      left[gone] = g.ids[i]
    end
  end
  send(leave, 'ZREM', key, left, 1, gone)
end
