-- needs: call, leave, holds_value, SLICE, min, send, reading, RULES, entered, left, numbers
-- gives: claim, write_claims
-- Unique indexes: hashes, value -> id. They are judged on the final state of the batch: all releases first,
-- then the claims.

local claims = {} -- per index that changes: its key, values that are freed, value -> id that claims it
local NONE = {}

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

-- Judges one index, and keeps what is to be written. Uniques of several fields bring functions of compounds.lua.
local function claim(list, key, field, change_of, held_by)
  local values, ids, count = entered, left, 0
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
      if taken then
        return {'UNIQUE', numbers[n], taken, unpack(held_by and field or {field})}
      end
      claimed[value] = id
    end
  end
  claims[#claims + 1] = {key = key, owned = owned, claimed = claimed}
end

-- Writes the claims that were judged, and removes those that nobody took over. Their keys were read, and hashes
-- were written: it cannot fail.
local function write_claims()
  for _, one in ipairs(claims) do
    local count, gone = 0, 0
    for value, id in pairs(one.claimed) do
      entered[count + 1], entered[count + 2] = value, id
      count = count + 2
    end
    for _, value in ipairs(one.owned) do
      if not one.claimed[value] then
        gone = gone + 1
        left[gone] = value
      end
    end
    send(call, 'HSET', one.key, entered, 1, count)
    send(leave, 'HDEL', one.key, left, 1, gone)
  end
end
