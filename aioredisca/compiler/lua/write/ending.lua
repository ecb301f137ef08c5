-- needs: call, is_over, bury, wanted_end, note_down, set_end, SLICE, min, groups, RULES
-- gives: end_of
-- Records that end, in a write. Before anything is judged, what is left of records of the call that are over goes:
-- they are no more. After a record is written, its end is.

RULES.over = is_over

local stale = RULES.stale
RULES.stale = stale and function(g, i) -- the moment may be expected, which no hash holds
  local moment = g.moments and g.moments[i]
  if moment and g.old[i] then
    g.old[i][$MOMENT] = string.format('%.0f', moment)
  end
  return stale(g, i)
end

for _, g in ipairs(groups) do
  local class = g.class
  for first = 1, class.entries and g.count or 0, SLICE do
    g.moments = g.moments or {}
    local moments = call('ZMSCORE', class.base .. '/t', unpack(g.ids, first, min(first + SLICE - 1, g.count)))
    for n, moment in ipairs(moments) do
      local i = first + n - 1
      local key = KEYS[g.key_at + i]
      if moment and is_over(class.base, key, g.ids[i]) then
        bury(class.base, g.ids[i], class.collections)
      else
        g.moments[i] = tonumber(moment or nil)
      end
    end
  end
end

local function end_of(g, i, key)
  local class, id = g.class, g.ids[i]
  local moments = class.base .. '/t'
  if g.mode == 'd' then
    call('ZREM', moments, id)
    call('HDEL', moments .. '/n', id)
    return
  end
  local moment = g.moments and g.moments[i]
  if g.key then -- it was found by the server
    moment = tonumber(call('ZSCORE', moments, id) or nil)
  end
  local existed = g.old and g.old[i] and true or false
  local wanted = wanted_end(g.ends or '', existed, key, moment)
  if wanted and (g.indexed or not moment) then
    note_down(class, class.base, key, id)
  end
  if wanted ~= moment or g.ends == 'p' then
    set_end(class.base, key, id, wanted, moment, class.collections)
  end
end
