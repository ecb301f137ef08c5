-- needs: call, leave, send, waiting
-- gives: entered, wait, change, write_none, write_ids
-- What a write does to indexes. Each kind has a file of its own; rendering.py writes out one call per index, in
-- this order, so that where the server stops in the middle (a key holds something foreign, a right was taken
-- away), nothing is lost: an entry too many is a hint, which reads see through.
--
--   claims are judged: their keys are read
--   write_   entries are added; a score that is to be replaced is tried, so that it cannot fail later
--   the hashes are written: commit.lua
--   what waited is written, there too: claims and scores take the place of others, and entries that are no longer true go

local entered = {} -- a list that these functions use one after the other, instead of new ones each time

-- Keeps one command on one key for when the hashes are written, if there is a list: see send() of parse.lua.
local function wait(way, command, key, list)
  if list then
    waiting[#waiting + 1] = {way, command, key, list}
  end
end

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
  local come, gone = 0, nil
  for _, g in ipairs(list) do
    local anew, deleted, column = g.mode == 'i', g.mode == 'd', g.columns[field]
    for i = 1, (g.old or not column) and g.count or 0 do
      local old = g.old and g.old[i]
      if column ~= nil or not old then
        local before, after = change(g, i, field)
        if (after or deleted) and (old or deleted) and not before or anew and after then
          gone = gone or {}
          gone[#gone + 1] = g.ids[i]
        elseif not after and not deleted and (before or not old or anew) then
          come = come + 1
          entered[come] = g.ids[i]
        end
      end
    end
  end
  send(call, 'SADD', key, entered, 1, come)
  wait(leave, 'SREM', key, gone)
end

-- Sorted set of all ids, score 0.
local function write_ids(list, key)
  local come, gone = 0, nil
  for _, g in ipairs(list) do
    for i = 1, g.count do
      if g.mode == 'd' then
        gone = gone or {}
        gone[#gone + 1] = g.ids[i]
      elseif g.mode == 'i' or not (g.old and g.old[i]) then
        entered[come + 1], entered[come + 2] = '0', g.ids[i]
        come = come + 2
      end
    end
  end
  send(call, 'ZADD', key, entered, 1, come)
  wait(leave, 'ZREM', key, gone)
end
