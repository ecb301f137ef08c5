-- Unique indexes: hashes, value -> id. They are judged on the final state of the batch: all releases first,
-- then the claims. A claim is a hint: it holds only while its record holds the value.

local claims = {} -- per index that changes: its key, values that are freed, values with the ids that claim them

local function holders(key, values)
  local found = {}
  for first = 1, #values, SLICE do
    local last = min(first + SLICE - 1, #values)
    for i, holder in ipairs(call('HMGET', key, unpack(values, first, last))) do
      found[first + i - 1] = holder
    end
  end
  return found
end

local function held(key, field)
  return call('HGET', key, field)
end

-- Values that this batch gives up: value -> id of the record that held it. Nobody gives up another's claim.
local function release(key, values, ids, freed)
  local owned = {}
  for i, holder in ipairs(holders(key, values)) do
    if holder == ids[i] then
      owned[#owned + 1] = values[i]
      freed[values[i]] = holder
    end
  end
  return owned
end

-- Judges one index, and keeps what is to be written. Of several fields: with functions of compounds.lua.
local function claim(list, key, field, change_of, held_by)
  local left, leavers, wanted, owners, ids = {}, {}, {}, {}, {}
  for _, g in ipairs(list) do
    if change_of or g.columns[field] ~= nil then
      for i = 1, g.count do
        local before, after = (change_of or change)(g, i, field)
        if before and before ~= after then
          left[#left + 1], leavers[#leavers + 1] = before, g.ids[i]
        end
        if after and (before ~= after or g.mode == 'i') then
          wanted[#wanted + 1], owners[#owners + 1], ids[#ids + 1] = after, g, i
        end
      end
    end
  end
  local freed, claimed, pairs_ = {}, {}, {}
  local owned = #left > 0 and release(key, left, leavers, freed) or left
  for n, holder in ipairs(#wanted > 0 and holders(key, wanted) or wanted) do
    local value, g, i = wanted[n], owners[n], ids[n]
    local id = g.ids[i]
    if holder == id or freed[value] == holder then
      holder = nil
    elseif holder and (held_by or held)(g.class.base .. ':' .. holder, field) ~= value then
      holder = nil
    end
    holder = claimed[value] or holder
    if holder then
      return {'UNIQUE', g.number + i, holder, unpack(change_of and field or {field})}
    end
    claimed[value] = id
    pairs_[#pairs_ + 1] = value
    pairs_[#pairs_ + 1] = id
  end
  claims[#claims + 1] = {key, owned, pairs_}
end

local function write_claims()
  for _, one in ipairs(claims) do
    send('HDEL', one[1], one[2], 1, #one[2])
    send('HSET', one[1], one[3], 1, #one[3])
  end
end
