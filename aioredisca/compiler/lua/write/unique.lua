-- needs: call, leave, holds_value, SLICE, min, reading, RULES, wait
-- gives: claim
-- Unique indexes: hashes, value -> id. They are judged on the final state of the batch: all releases first,
-- then the claims.

local NONE = {}
local values, ids, numbers = {}, {}, {} -- used by one claim after the other, instead of new ones each time

-- Values that records give up: as a list, and value -> id. Nobody gives up another's claim.
local release = reading and function(list, key, field, change_of)
  local owned, freed = {}, {}
  for _, g in ipairs(list) do
    for i = 1, g.old and g.count or 0 do
      local before, after = change_of(g, i, field)
      if before and before ~= after and call('HGET', key, before) == g.ids[i] then
        owned[#owned + 1] = before
        freed[before] = g.ids[i]
      end
    end
  end
  return owned, freed
end

-- The id that the index names, if its record holds the value indeed. Several fields are read by held_by.
local function true_holder(base, holder, value, field, held_by)
  local key, holds = base .. ':' .. holder, nil
  if held_by then
    holds = held_by(key, field) == value
  else
    holds = holds_value(key, field, value)
  end
  return holds and not (RULES.over and RULES.over(base, key, holder)) and holder
end

-- Judges one index. What is to be written waits, and will not fail: its key was read, and hashes were written.
-- Uniques of several fields bring functions of compounds.lua.
local function claim(list, key, field, change_of, held_by)
  local count = 0
  for _, g in ipairs(list) do
    for i = 1, (held_by or g.columns[field] ~= nil) and g.count or 0 do
      local before, after = change_of(g, i, field)
      if after and (before ~= after or g.mode == 'i') then
        count = count + 1
        values[count], ids[count], numbers[count] = after, g.ids[i], g.number + i
      end
    end
  end
  local owned, freed, claimed = NONE, NONE, {}
  if release then
    owned, freed = release(list, key, field, change_of)
  end
  for first = 1, count, SLICE do
    local last = min(first + SLICE - 1, count)
    for n, holder in ipairs(call('HMGET', key, unpack(values, first, last))) do
      n = first + n - 1
      local value, id = values[n], ids[n]
      local taken = holder and holder ~= id and freed[value] ~= holder
      taken = claimed[value] or taken and true_holder(list[1].class.base, holder, value, field, held_by)
      if taken and not RULES.left_out then
        return {'UNIQUE', numbers[n], taken, unpack(held_by and field or {field})}
      elseif taken then
        RULES.left_out(numbers[n], taken, unpack(held_by and field or {field}))
      else
        claimed[value] = id
      end
    end
  end
  local fields, gone
  for value, id in pairs(claimed) do
    fields = fields or {}
    fields[#fields + 1], fields[#fields + 2] = value, id
  end
  for _, value in ipairs(owned) do
    if not claimed[value] then
      gone = gone or {}
      gone[#gone + 1] = value
    end
  end
  wait(call, 'HSET', key, fields)
  wait(leave, 'HDEL', key, gone)
end
