-- The records of a write: taken from ARGV, read and judged. See write.lua for what stands there.

local SLICE, LONG, MARKER = 1000, 512, '_'
local call, min = redis.call, math.min

-- What parts that only some classes or changes need put in: take_sum(r) and PART.judge_sum(r) for mode n,
-- names(r, names) and changes(r, list) for every record, held(key, fields) for uniques of several fields,
-- spread(records), lose(r) and lost_fields(r) for references to deleted records. One table, for every name
-- that functions share makes all of them dearer to build, and a script builds them in each call.
local PART = {}

local at = 0
local function take()
  at = at + 1
  return ARGV[at]
end

local function skip(count)
  local first = at + 1
  at = at + count
  return first
end

local function take_record(number)
  local r = {number = number, class = CLASSES[tonumber(take())], id = take(), mode = take(), key = KEYS[FIXED + number]}
  local again = take()
  r.again, r.pass, r.declared = again == '1', again == 'p', take() == '1'
  local expectations, changes, pairs_, drops = tonumber(take()), tonumber(take()), tonumber(take()), tonumber(take())
  r.expected, r.last_expected = skip(expectations * 3), at
  r.changes, r.last_change = skip(changes * 3), at
  r.pairs, r.last_pair = skip(pairs_ * 2), at
  r.drops, r.last_drop = skip(drops), at
  r.new, r.extra = {}, {}
  if r.mode == 'n' then
    PART.take_sum(r)
  end
  return r
end

-- field -> stored value, false where there is none
local function stored(key, names)
  local found = {}
  for first = 1, #names, SLICE do
    local last = min(first + SLICE - 1, #names)
    local values = call('HMGET', key, unpack(names, first, last))
    for i = first, last do
      found[names[i]] = values[i - first + 1]
    end
  end
  return found
end

-- field -> the value this save gives it, false where it removes it
local function meaning(r)
  local meant = {}
  for i = r.pairs, r.last_pair, 2 do
    meant[ARGV[i]] = ARGV[i + 1]
  end
  for i = r.drops, r.last_drop do
    meant[ARGV[i]] = false
  end
  return meant
end

-- the index changes of a save, as r.new: number of the index -> value or false, r.extra: score or digest
local function read_changes(r)
  for i = r.changes, r.last_change, 3 do
    local index, pair = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
    r.new[index] = pair > 0 and ARGV[r.pairs + 2 * pair - 1]
    r.extra[index] = ARGV[i + 2]
  end
end

local function names_to_read(r)
  local names = {}
  if r.mode == 'd' then
    for _, index in ipairs(r.class.indexes) do
      names[#names + 1] = index.field
    end
    for i = r.expected, r.last_expected, 3 do
      names[#names + 1] = ARGV[i]
    end
    return names
  end
  if PART.names then
    PART.names(r, names)
  end
  for index in pairs(r.new) do
    names[#names + 1] = r.class.indexes[index].field
  end
  for i = r.expected, r.last_expected, 3 do
    names[#names + 1] = ARGV[i]
  end
  if r.again then
    for field in pairs(r.meant) do
      names[#names + 1] = field
    end
  end
  if not r.class.witness then
    names[#names + 1] = MARKER
  end
  return names
end

local function read(r)
  local kind = call('TYPE', r.key)['ok']
  if kind ~= 'none' and kind ~= 'hash' then
    return {'TYPE', r.number}
  end
  r.exists = kind == 'hash'
  read_changes(r)
  if r.lost then
    PART.lose(r)
  end
  r.meant = r.again and meaning(r)
  r.old = r.exists and stored(r.key, names_to_read(r)) or {}
end

local function as_meant(r)
  for field, value in pairs(r.meant) do
    if (r.old[field] or false) ~= value then
      return false
    end
  end
  return true
end

local function stale_fields(r)
  local stale = {'STALE', r.number}
  for i = r.expected, r.last_expected, 3 do
    local field, is = ARGV[i], r.old[ARGV[i]] or false
    local expected = ARGV[i + 1] == '1' and ARGV[i + 2]
    if is ~= expected and not (r.again and r.meant[field] == is) then
      stale[#stale + 1] = field
    end
  end
  return #stale > 2 and stale
end

local function missing_required(r)
  if r.exists or not r.class.witness then
    return
  end
  local meant = r.meant or meaning(r)
  for _, field in ipairs(r.class.required) do
    if not meant[field] then
      return {'REQUIRED', r.number, field}
    end
  end
end

local function judge(r)
  if r.mode == 'd' then
    return r.exists and stale_fields(r) or nil
  end
  if r.mode == 'c' and r.exists and not (r.again and as_meant(r)) then
    return {'EXISTS', r.number}
  end
  if r.mode ~= 'c' and r.mode ~= 's' and not r.exists then
    return {'GONE', r.number}
  end
  return stale_fields(r) or missing_required(r) or r.mode == 'n' and PART.judge_sum(r)
end
