-- Yields one page of the records that an index holds, in order, with the fields asked for. Writes nothing.
--
-- KEYS   the index, the set of all ids
-- ARGV   kind (set, scored, ids, unique), unique: the value | scored: what ZCOUNT counts below the range,
--        scored: upper bound, offset, limit (-1 none), cursor (empty: start), rows of a page,
--        1 if SORT_RO may fetch rows, what record keys start with, field ...
-- reply  {cursor (empty: that was all), offset still to skip, {id, value ..., id, value ...}}
--
-- Order: scored by (score, id), else by id; only a set without limit comes as it likes, for the client to
-- sort. Ids are compared by bytes. One call examines BUDGET ids at the most.

local BUDGET, STEP, SLICE = 2000, 512, 1000
local call, min = redis.call, math.min
local INDEX, IDS = KEYS[1], KEYS[2]
local kind, low, high, cursor = ARGV[1], ARGV[2], ARGV[3], ARGV[6]
local offset, limit, page = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[7])
local may_sort, records, FIELDS = ARGV[8] == '1', ARGV[9], 10

local function bytes_less(a, b)
  for i = 1, min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then
      return x < y
    end
  end
  return #a < #b
end

-- `<` on strings follows the server's locale; where that is not C, compare by hand.
local function sort_ids(ids)
  if 'B' < 'a' and 'a' < '~' then
    table.sort(ids)
  else
    table.sort(ids, bytes_less)
  end
  return ids
end

local function fetch(rows, id)
  rows[#rows + 1] = id
  for first = FIELDS, #ARGV, SLICE do
    local values = call('HMGET', records .. id, unpack(ARGV, first, min(first + SLICE - 1, #ARGV)))
    for i = 1, #values do
      rows[#rows + 1] = values[i]
    end
  end
end

local function fetch_all(ids)
  local rows = {}
  for i = 1, #ids do
    fetch(rows, ids[i])
  end
  return rows
end

-- The rows at ranks first .. first + count - 1, by one SORT_RO where that is allowed.
local function fetch_ranks(key, first, count)
  if count <= 0 then
    return {}
  end
  if not may_sort or #ARGV - FIELDS > SLICE then
    return fetch_all(call('ZRANGE', key, first, first + count - 1))
  end
  local gets = {}
  for i = FIELDS, #ARGV do
    gets[#gets + 1] = 'GET'
    gets[#gets + 1] = records .. '*->' .. ARGV[i]
  end
  return call('SORT_RO', key, 'BY', 'nosort', 'LIMIT', first, count, 'GET', '#', unpack(gets))
end

local function rank_after(key, score, id)
  local first = call('ZCOUNT', key, '-inf', '(' .. score)
  local stop = first + call('ZCOUNT', key, score, score)
  while first < stop do
    local middle = math.floor((first + stop) / 2)
    if bytes_less(id, call('ZRANGE', key, middle, middle)[1]) then
      stop = middle
    else
      first = middle + 1
    end
  end
  return first
end

local function ranks(first, stop, mark)
  first = first + offset
  local count = math.max(0, min(stop - first, page, limit < 0 and page or limit))
  local rows = fetch_ranks(INDEX, first, count)
  if count == 0 or first + count >= stop then
    return {'', 0, rows}
  end
  return {mark(call('ZRANGE', INDEX, first + count - 1, first + count - 1)[1]), 0, rows}
end

local function scored()
  local first = low == '' and 0 or call('ZCOUNT', INDEX, '-inf', low)
  if cursor ~= '' then
    local split = string.find(cursor, ':', 1, true)
    first = rank_after(INDEX, string.sub(cursor, 1, split - 1), string.sub(cursor, split + 1))
  end
  local stop = high == '' and call('ZCARD', INDEX) or call('ZCOUNT', INDEX, '-inf', high)
  return ranks(first, stop, function(id)
    return call('ZSCORE', INDEX, id) .. ':' .. id
  end)
end

local function ids()
  local first = cursor == '' and 0 or call('ZLEXCOUNT', INDEX, '-', '[' .. string.sub(cursor, 2))
  return ranks(first, call('ZCARD', INDEX), function(id)
    return 'i' .. id
  end)
end

local function unique()
  local id = call('HGET', INDEX, low)
  if not id or offset > 0 or limit == 0 then
    return {'', 0, {}}
  end
  return {'', 0, fetch_all({id})}
end

-- A small set: whole as it comes, or a sorted slice of it.
local function small_set(size)
  if limit < 0 and offset == 0 and may_sort and #ARGV - FIELDS <= SLICE then
    return {'', 0, fetch_ranks(INDEX, 0, size)}
  end
  local members = sort_ids(call('SMEMBERS', INDEX))
  local last = limit < 0 and size or min(size, offset + limit)
  local wanted = {}
  for i = offset + 1, last do
    wanted[#wanted + 1] = members[i]
  end
  local mark = #wanted > 0 and last < size and 'i' .. wanted[#wanted] or ''
  return {mark, 0, fetch_all(wanted)}
end

-- A page of a big set in the order of ids: walk all ids and ask the set.
local function walk_ids()
  local last = cursor ~= '' and string.sub(cursor, 2)
  local rows, found, examined = {}, 0, 0
  local wanted = limit < 0 and page or min(limit, page)
  while examined < BUDGET do
    local step = call('ZRANGEBYLEX', IDS, last and '(' .. last or '-', '+', 'LIMIT', 0, STEP)
    local hits = #step > 0 and call('SMISMEMBER', INDEX, unpack(step)) or {}
    for i = 1, #step do
      last = step[i]
      if hits[i] == 1 and offset > 0 then
        offset = offset - 1
      elseif hits[i] == 1 then
        fetch(rows, last)
        found = found + 1
        if found == wanted then
          return {'i' .. last, 0, rows}
        end
      end
    end
    if #step < STEP then
      return {'', offset, rows}
    end
    examined = examined + #step
  end
  return {'i' .. last, offset, rows}
end

local function stream_set()
  local from = cursor == '' and '0' or string.sub(cursor, 2)
  local step = call('SSCAN', INDEX, from, 'COUNT', page)
  return {step[1] == '0' and '' or 's' .. step[1], 0, fetch_all(step[2])}
end

local function set()
  local how = string.sub(cursor, 1, 1)
  if how == 's' then
    return stream_set()
  elseif how == 'i' then
    return walk_ids()
  end
  local size = call('SCARD', INDEX)
  if size <= page then
    return small_set(size)
  elseif limit < 0 and offset == 0 then
    return stream_set()
  end
  return walk_ids()
end

return ({set = set, scored = scored, ids = ids, unique = unique})[kind]()
