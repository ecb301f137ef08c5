-- needs: score_text, call, joined, leave, wait, change
-- gives: change_together, held_together, write_pair
-- Indexes over several fields: uniques of values together, and one sorted set per value of a first field.
-- Members that a save does not touch are read with the others, their scores are taken from their range index.

-- Values together, before and after: for claim() of unique.lua, as is held_together.
local function change_together(g, i, fields)
  local before, after = {}, {}
  for n, field in ipairs(fields) do
    before[n], after[n] = change(g, i, field)
  end
  return joined(before, #fields), joined(after, #fields)
end

local function held_together(key, fields)
  return joined(call('HMGET', key, unpack(fields)), #fields)
end

-- The values of the first field before and after, of records that have the second one too.
local function change_pair(g, i, first, second)
  if g.old and g.old[i] and g.columns[first] == nil and g.columns[second] == nil then
    return nil, nil
  end
  local before, after = change(g, i, first)
  local before_second, after_second = change(g, i, second)
  return before_second and before, after_second and after
end

local function score_of(g, i, field)
  return ARGV[g.row + i * g.width + (g.extras and g.extras[field] or g.columns[field])]
end

-- What does not change has the score that its range index has, in the sorted set *range*. A score that takes the
-- place of another is only tried, as in range.lua.
local function write_pair(list, first, second, range)
  for _, g in ipairs(list) do
    local stem = g.class.base .. '/c/' .. first .. '/' .. second .. '/'
    for i = 1, g.count do
      local before, after = change_pair(g, i, first, second)
      local score = after and (g.columns[second] and score_of(g, i, second) or score_text(call('ZSCORE', range, g.ids[i])))
      if score and before == after and g.mode ~= 'i' then
        call('ZADD', stem .. after, 'NX', score, g.ids[i])
        wait(call, 'ZADD', stem .. after, g.columns[second] and {score, g.ids[i]})
      elseif score then
        call('ZADD', stem .. after, score, g.ids[i])
      end
      if before and before ~= after then
        wait(leave, 'ZREM', stem .. before, {g.ids[i]})
      end
    end
  end
end
