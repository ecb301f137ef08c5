-- needs: call, send, CLASSES, groups, now, wanted_end, noted, read_tracked, bury, sweep, share
-- gives:
-- When all else is written: the ends of the records, and the notes of what stands of them in indexes. Then every write
-- takes away some of the records that are over.

local function forget(moments, ids)
  send(call, 'ZREM', moments, ids, 1, #ids)
  send(call, 'HDEL', moments .. '/n', ids, 1, #ids)
end

-- What record i of a group holds: one that is new holds what the call says.
local function values_of(g, i, key)
  if g.old and g.old[i] then
    return read_tracked(g.class, key)
  end
  local values, row = {}, g.row + i * g.width
  for field, column in pairs(g.columns) do
    values[field] = column and ARGV[row + column] or nil
  end
  return values
end

local function set_ends(g)
  local class, moments = g.class, g.class.base .. '/t'
  local wants, scores, notes = {}, {}, {}
  for i, id in ipairs(g.ids) do
    local key, moment = g.key or KEYS[g.key_at + i], g.moments and g.moments[i]
    if g.key then -- it was found by the server
      moment = tonumber(call('ZSCORE', moments, id) or nil)
    end
    local wanted = wanted_end(g.ends or '', g.old and g.old[i] and true or false, key, moment)
    local note = wanted and (g.indexed or not moment) and noted(class, id, values_of(g, i, key)) or ''
    if note ~= '' then
      notes[#notes + 1], notes[#notes + 2] = id, note
    end
    if not wanted and (moment or g.ends == 'p') then
      call('PERSIST', key)
      forget(moments, {id})
    elseif wanted and wanted ~= moment then
      wants[i], scores[#scores + 1], scores[#scores + 2] = wanted, wanted, id
    end
  end
  send(call, 'HSET', moments .. '/n', notes, 1, #notes)
  send(call, 'ZADD', moments, scores, 1, #scores)
  for i, wanted in pairs(wants) do
    local key = g.key or KEYS[g.key_at + i]
    call('PEXPIREAT', key, wanted)
    if wanted - now < 100 and call('EXISTS', key) == 0 then -- that moment is past: the key went at once
      bury(class.base, g.ids[i], class.collections)
    end
  end
end

for _, g in ipairs(groups) do
  local class = g.class
  if class.entries and not g.passed then
    class.written = (class.written or 0) + g.count
    if g.mode == 'd' then
      forget(class.base .. '/t', g.ids)
    else
      set_ends(g)
    end
  end
end

for _, class in ipairs(CLASSES) do
  local due = class.written and call('ZCOUNT', class.base .. '/t', '-inf', '(' .. now) or 0
  if due > 0 then
    sweep(class.base, share(due, class.written), class.collections)
  end
end
