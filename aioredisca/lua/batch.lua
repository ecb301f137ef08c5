-- The records of a write: taken from ARGV in groups, read and judged. See write.lua for what stands there.
--
-- A group  class, mode, count, number = of its records before it, keys, ids (per record),
--          names = a list of fields: drops, reads and sets, from and to where ARGV says so,
--          columns = field -> its place in a row, false where it is dropped, nil where it stays as it is,
--          extras = the same for scores and digests; the row of record i starts after row + i * width,
--          old = per record: field -> stored value of what was read, nothing where there is no record

local SLICE, MARKER = 1000, '_'
local call, min = redis.call, math.min
local PART = {} -- what parts that only some scripts have put in: stale, as_meant, sum

for number, class in ipairs(CLASSES) do
  local signature = call('HGET', KEYS[class.meta], 'signature')
  if signature ~= class.signature then
    return {'SCHEMA', number, signature or ''}
  end
  class.base = string.sub(KEYS[class.meta], 1, -6)
end

-- Slices have an even length, so that pairs stay together.
local function send(command, key, list, first, last)
  for i = first, last, SLICE do
    call(command, key, unpack(list, i, min(i + SLICE - 1, last)))
  end
end

local groups, at, records, careful = {}, 1, 0, false
for number = 1, tonumber(ARGV[1]) do
  local class, mode, care, declared, count, free, drops, reads, sets, others, extras, expected = unpack(ARGV, at + 1, at + 12)
  at = at + 12
  local first_read = at + free + 1
  local first_set = first_read + drops + reads
  local last = first_set + sets + others - 1
  local g = {
    class = CLASSES[tonumber(class)], mode = mode, care = care, declared = declared == '1', count = tonumber(count),
    number = records, keys = {}, ids = {}, names = ARGV, columns = {}, extras = {}, old = {},
    first = at + 1, last_drop = at + free + drops, first_set = first_set, last = last,
    -- one field more than the indexes need: it tells mostly that there is a record
    first_read = first_read, last_read = min(first_set + sets, last), first_expected = at + free + drops + 1,
    indexed = drops + sets > 0, row = 0, width = sets + others + extras + expected,
    expected = tonumber(expected), expectations = sets + others + extras,
  }
  for i = g.first, g.last_drop do
    g.columns[ARGV[i]] = false
  end
  for i = first_set, last do
    g.columns[ARGV[i]] = i - first_set + 1
  end
  for i = 1, extras do
    g.extras[ARGV[last + i]] = sets + others + i
  end
  careful = careful or care ~= '0' or g.expected > 0
  if mode == 'n' then
    g.width = g.width + 4
  end
  at = last + extras
  g.row = at - g.width
  at = at + g.count * g.width
  local head = #g.class.base + 2
  for i = 1, g.count do
    local key = KEYS[FIXED + records + i]
    g.keys[i], g.ids[i] = key, string.sub(key, head)
  end
  records = records + g.count
  groups[number] = g
end

-- Reads record i of a group; a refusal where its key holds something else.
local function read(g, i)
  local key, names, witness = g.keys[i], g.names, g.class.witness
  local old, exists, first = {}, false, g.first_read
  repeat
    local last = min(first + SLICE - 1, g.last_read)
    local values = redis.pcall('HMGET', key, witness, unpack(names, first, last))
    if values.err then
      return call('TYPE', key).ok == 'hash' and values or {'TYPE', g.number + i}
    end
    old[witness] = values[1] or nil
    for j = first, last do
      old[names[j]] = values[j - first + 2] or nil
    end
    first = last + 1
  until first > g.last_read
  g.old[i] = (next(old) or call('EXISTS', key) == 1) and old
end

-- A new record must have a value of every required field.
local function incomplete(g, i)
  for _, field in ipairs(g.class.required and g.class.required() or {}) do
    if not g.columns[field] then
      return {'REQUIRED', g.number + i, field}
    end
  end
end

local function judge(g, i)
  local mode, exists = g.mode, g.old[i]
  if mode == 'd' then
    return exists and PART.stale and PART.stale(g, i)
  elseif mode == 'c' and exists and not (g.care == '1' and PART.as_meant(g, i)) then
    return {'EXISTS', g.number + i}
  elseif mode ~= 'c' and mode ~= 's' and not exists then
    return {'GONE', g.number + i}
  end
  return PART.stale and PART.stale(g, i) or not exists and incomplete(g, i) or mode == 'n' and PART.sum(g, i)
end

-- Judges records that must not exist, without reading any.
local function judge_new(g)
  for first = 1, g.count, SLICE do
    if call('EXISTS', unpack(g.keys, first, min(first + SLICE - 1, g.count))) > 0 then
      for i = first, g.count do
        local kind = call('TYPE', g.keys[i]).ok
        if kind ~= 'none' then
          return {kind == 'hash' and 'EXISTS' or 'TYPE', g.number + i}
        end
      end
    end
  end
  return incomplete(g, 1)
end

-- Reads and judges a group; a refusal, unless it may be passed over: such a group has one record.
local function prepare(g)
  if g.mode == 'c' and g.care == '0' and g.expected == 0 then
    return judge_new(g)
  end
  for i = 1, g.count do
    local refusal = read(g, i)
    if refusal then
      return refusal
    end
    refusal = judge(g, i)
    if refusal and g.care ~= 'p' then
      return refusal
    end
    g.passed = refusal
  end
end
