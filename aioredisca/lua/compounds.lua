-- Indexes over several fields: uniques of values together, and one sorted set per value of a first field.
--
-- class.compounds  {members = numbers of indexes, then fields = names, unique = its fixed key
--                  or kind = 'pair', stem = what the names of its keys start with, after the base}
-- Members that a save does not touch are taken from the stored hash, their scores from their range index.

local function joined(values, count)
  local parts = {}
  for i = 1, count do
    if not values[i] then
      return false
    end
    parts[i] = #values[i] .. ':' .. values[i]
  end
  return table.concat(parts)
end

PART.held = function(key, fields)
  return joined(call('HMGET', key, unpack(fields)), #fields)
end

local function touched(r, members)
  if r.mode == 'd' or not r.exists then
    return true
  end
  for _, number in ipairs(members) do
    if r.new[number] ~= nil then
      return true
    end
  end
end

local function before_of(r, number)
  return r.exists and r.old[r.class.indexes[number].field] or false
end

local function after_of(r, number)
  if r.mode == 'd' then
    return false
  elseif r.new[number] ~= nil then
    return r.new[number]
  end
  return before_of(r, number)
end

local function values_of(r, members, pick)
  local values = {}
  for i, number in ipairs(members) do
    values[i] = pick(r, number)
  end
  return values
end

PART.names = function(r, names)
  for _, compound in ipairs(r.class.compounds or {}) do
    for _, number in ipairs(touched(r, compound.members) and compound.members or {}) do
      names[#names + 1] = r.class.indexes[number].field
    end
  end
end

local function together(r, compound, list)
  local before = joined(values_of(r, compound.members, before_of), #compound.members)
  local after = joined(values_of(r, compound.members, after_of), #compound.members)
  if before ~= after or r.mode == 'i' then
    list[#list + 1] = {index = compound, before = before, after = after}
  end
end

-- The score of the second field after this write; what does not change is as its range index has it.
local function score(r, second)
  if r.new[second] ~= nil then
    return r.extra[second]
  end
  return call('ZSCORE', KEYS[r.class.indexes[second].range], r.id)
end

local function pair(r, compound, list)
  local first, second = unpack(compound.members)
  local before = before_of(r, second) and before_of(r, first)
  local after = after_of(r, second) and after_of(r, first)
  local extra = after and score(r, second)
  if before or extra then
    list[#list + 1] = {index = compound, before = before, after = extra and after, extra = extra}
  end
end

PART.changes = function(r, list)
  for _, compound in ipairs(r.class.compounds or {}) do
    if touched(r, compound.members) then
      (compound.unique and together or pair)(r, compound, list)
    end
  end
end

local function pair_key(r, compound, value)
  return string.sub(KEYS[r.class.meta], 1, -5) .. compound.stem .. value
end

LEAVE.pair = function(r, compound, change)
  queue('ZREM', pair_key(r, compound, change.before), r.id)
end

ENTER.pair = function(r, compound, change)
  queue('PAIR', pair_key(r, compound, change.after), change.extra, r.id)
end
