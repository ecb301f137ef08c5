-- What a write does to indexes: changes by record, claims judged over the batch, entries written together.

-- the indexes this record changes: index, value before or false, value after or false, number
local function changes(r)
  local list = {}
  for number, index in ipairs(r.class.indexes) do
    local before, after = r.old[index.field] or false, r.new[number]
    if r.mode == 'd' then
      after = false
    elseif after == nil and not r.exists then
      after = false
    end
    if after ~= nil and (after ~= before or not r.exists or r.mode == 'd' or r.mode == 'i') then
      list[#list + 1] = {index = index, before = before, after = after, extra = r.extra[number]}
    end
  end
  if PART.changes then
    PART.changes(r, list)
  end
  return list
end

-- Uniques are judged on the final state of the batch: all releases first, then the claims.
local freed, claimed = {}, {}

local function slot(map, key)
  local inner = map[key] or {}
  map[key] = inner
  return inner
end

local function free_uniques(r)
  for _, change in ipairs(r.list) do
    local key = change.index.unique
    if key and change.before and call('HGET', KEYS[key], change.before) == r.id then
      slot(freed, key)[change.before] = r.id
    end
  end
end

-- A claim is a hint: it holds only while its record holds the value.
local function holder_of(r, index, value)
  local holder = call('HGET', KEYS[index.unique], value)
  if not holder or holder == r.id or slot(freed, index.unique)[value] == holder then
    return
  end
  local key = string.sub(KEYS[r.class.meta], 1, -6) .. ':' .. holder
  if index.fields then
    return PART.held(key, index.fields) == value and holder
  end
  return call('HGET', key, index.field) == value and holder
end

local function claim_uniques(r)
  for _, change in ipairs(r.list) do
    local index, value = change.index, change.after
    if index.unique and value then
      local claims = slot(claimed, index.unique)
      local holder = claims[value] or holder_of(r, index, value)
      if holder then
        return {'UNIQUE', r.number, holder, unpack(index.fields or {index.field})}
      end
      claims[value] = r.id
    end
  end
end

-- Writes are collected by command and key, and sent in slices: one command serves a whole batch.
-- SADD and the ZADD of compound indexes (PAIR) come first: their keys alone are named by values. Where one of
-- them holds something foreign the server stops there, and what was written is a hint, which reads see through.
local ORDER = {'SADD', 'PAIR', 'HDEL', 'HSET', 'SREM', 'ZREM', 'ZADD'}
local queued = {}

local function queue(command, key, ...)
  local arguments = slot(queued[command] or slot(queued, command), key)
  for _, argument in ipairs({...}) do
    arguments[#arguments + 1] = argument
  end
end

local function send(command, by_key)
  for key, arguments in pairs(by_key) do
    for first = 1, #arguments, SLICE do
      call(command, key, unpack(arguments, first, min(first + SLICE - 1, #arguments)))
    end
  end
end

local function send_all()
  for _, name in ipairs(ORDER) do
    if queued[name] then
      send(name == 'PAIR' and 'ZADD' or name, queued[name])
    end
  end
end

local function exact_key(r, index, value, digest)
  local base = string.sub(KEYS[r.class.meta], 1, -5)
  if #value > LONG then
    return base .. 'y/' .. index.field .. '/' .. digest
  end
  return base .. 'x/' .. index.field .. '/' .. value
end

-- What an index does when a value goes and when one comes, by kind (range: below). More kinds have own files.
local LEAVE, ENTER = {}, {}

LEAVE.exact = function(r, index, change)
  local before = change.before
  local digest = #before > LONG and call('HGET', KEYS[index.digests], r.id)
  if #before > LONG then
    queue('HDEL', KEYS[index.digests], r.id)
  end
  if digest or #before <= LONG then
    queue('SREM', exact_key(r, index, before, digest), r.id)
  end
end

ENTER.exact = function(r, index, change)
  if #change.after > LONG then
    queue('HSET', KEYS[index.digests], r.id, change.extra)
  end
  queue('SADD', exact_key(r, index, change.after, change.extra), r.id)
end

local function write_indexes(r)
  for _, change in ipairs(r.list) do
    local index, before, after = change.index, change.before, change.after
    local kind = index.kind
    if kind and before and before ~= after then
      LEAVE[kind](r, index, change)
    end
    if kind and after then
      ENTER[kind](r, index, change)
    end
    if index.range and after then
      queue('ZADD', KEYS[index.range], change.extra, r.id)
    elseif index.range and before then
      queue('ZREM', KEYS[index.range], r.id)
    end
    if index.none and (after or r.mode == 'd') then
      queue('SREM', KEYS[index.none], r.id)
    elseif index.none then
      queue('SADD', KEYS[index.none], r.id)
    end
  end
  if r.mode == 'd' then
    queue('ZREM', KEYS[r.class.ids], r.id)
  elseif not r.exists or r.mode == 'i' then
    queue('ZADD', KEYS[r.class.ids], '0', r.id)
  end
end
