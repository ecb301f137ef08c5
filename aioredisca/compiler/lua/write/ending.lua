-- needs: call, is_over, bury, SLICE, min, groups, RULES
-- gives:
-- Records that end, in a write. Before anything is judged, what is left of records of the call that are over goes:
-- they are no more.
--
-- g.moments  the ends of the records of a group so far

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
  if class.entries then -- changes nothing, and tells whether a note may be written once the hashes are
    call('HGET', class.base .. '/t/n', g.ids[1])
  end
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
