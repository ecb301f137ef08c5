-- Saves and deletes a batch of records: all of it, or nothing.
--
-- CLASSES  the declarations of the classes in the batch, rendered in front of this body (scripts.py)
-- KEYS     the fixed keys of every class, in the order that CLASSES numbers them, then one key per record
-- ARGV     per record: class number, id, mode (c create, u update, s create or update, d delete,
--          i write the index entries of a record anew),
--          again (1: an earlier send got no answer), declared (1: a declared field is set),
--          four counts, and so many of
--            expectations  field, 1 or 0 (there or not), value
--            index changes number of the index, number of the pair that sets it or 0, score or digest
--            pairs         field, value
--            drops         field
-- reply    {'OK', 1 or 0 per record: created, or deleted}, or a refusal, with nothing written:
--          {'SCHEMA', class, signature}  {'TYPE', record}  {'EXISTS', record}  {'GONE', record}
--          {'STALE', record, field ...}  {'REQUIRED', record, field}  {'UNIQUE', record, field, holder}
--
-- Everything is read and judged first; writes go claims, indexes, hashes. What an index held before is
-- taken from the stored hash, never from the client. Scores pass as text.

local SLICE, LONG, MARKER = 1000, 512, '_'
local call, min = redis.call, math.min

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
  r.again, r.declared = take() == '1', take() == '1'
  local expectations, changes, pairs_, drops = tonumber(take()), tonumber(take()), tonumber(take()), tonumber(take())
  r.expected, r.last_expected = skip(expectations * 3), at
  r.changes, r.last_change = skip(changes * 3), at
  r.pairs, r.last_pair = skip(pairs_ * 2), at
  r.drops, r.last_drop = skip(drops), at
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
  r.new, r.extra = {}, {}
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
    return names
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
    return
  end
  if r.mode == 'c' and r.exists and not (r.again and as_meant(r)) then
    return {'EXISTS', r.number}
  end
  if (r.mode == 'u' or r.mode == 'i') and not r.exists then
    return {'GONE', r.number}
  end
  return stale_fields(r) or missing_required(r)
end

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
  local base = string.sub(KEYS[r.class.meta], 1, -6)
  return call('HGET', base .. ':' .. holder, index.field) == value and holder
end

local function claim_uniques(r)
  for _, change in ipairs(r.list) do
    local index, value = change.index, change.after
    if index.unique and value then
      local claims = slot(claimed, index.unique)
      local holder = claims[value] or holder_of(r, index, value)
      if holder then
        return {'UNIQUE', r.number, index.field, holder}
      end
      claims[value] = r.id
    end
  end
end

-- Writes are collected by command and key, and sent in slices: one command serves a whole batch.
local queued = {HDEL = {}, HSET = {}, SREM = {}, ZREM = {}, SADD = {}, ZADD = {}}

local function queue(command, key, ...)
  local arguments = slot(queued[command], key)
  for _, argument in ipairs({...}) do
    arguments[#arguments + 1] = argument
  end
end

local function send(command)
  for key, arguments in pairs(queued[command]) do
    for first = 1, #arguments, SLICE do
      call(command, key, unpack(arguments, first, min(first + SLICE - 1, #arguments)))
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

local function leave_exact(r, index, before)
  local digest = #before > LONG and call('HGET', KEYS[index.digests], r.id)
  if #before > LONG then
    queue('HDEL', KEYS[index.digests], r.id)
  end
  if digest or #before <= LONG then
    queue('SREM', exact_key(r, index, before, digest), r.id)
  end
end

local function enter_exact(r, index, after, digest)
  if #after > LONG then
    queue('HSET', KEYS[index.digests], r.id, digest)
  end
  queue('SADD', exact_key(r, index, after, digest), r.id)
end

local function write_indexes(r)
  for _, change in ipairs(r.list) do
    local index, before, after = change.index, change.before, change.after
    if index.exact and before and before ~= after then
      leave_exact(r, index, before)
    end
    if index.exact and after then
      enter_exact(r, index, after, change.extra)
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

local function keeps_declared(r)
  local dropped = meaning(r)
  for field, value in pairs(stored(r.key, r.class.declared)) do
    if value and dropped[field] ~= false then
      return true
    end
  end
  return false
end

-- A record that would hold no declared field holds the marker, so that it can be told from none.
local function write_marker(r)
  if r.class.witness then
    return
  end
  if r.declared then
    if r.old[MARKER] then
      call('HDEL', r.key, MARKER)
    end
  elseif not r.exists or (r.last_drop >= r.drops and not keeps_declared(r)) then
    call('HSET', r.key, MARKER, '1')
  end
end

local function write_hash(r)
  if r.mode == 'd' then
    return call('UNLINK', r.key)
  end
  for first = r.pairs, r.last_pair, SLICE do
    call('HSET', r.key, unpack(ARGV, first, min(first + SLICE - 1, r.last_pair)))
  end
  write_marker(r)
  for first = r.drops, r.last_drop, SLICE do
    call('HDEL', r.key, unpack(ARGV, first, min(first + SLICE - 1, r.last_drop)))
  end
  return r.exists and 0 or 1
end

for number, class in ipairs(CLASSES) do
  local signature = call('HGET', KEYS[class.meta], 'signature')
  if signature ~= class.signature then
    return {'SCHEMA', number, signature or ''}
  end
end

local records = {}
for number = 1, #KEYS - FIXED do
  local r = take_record(number)
  local refusal = read(r) or judge(r)
  if refusal then
    return refusal
  end
  r.list = changes(r)
  records[number] = r
end
for _, r in ipairs(records) do
  free_uniques(r)
end
for _, r in ipairs(records) do
  local refusal = claim_uniques(r)
  if refusal then
    return refusal
  end
end

for key, values in pairs(freed) do
  for value in pairs(values) do
    queue('HDEL', KEYS[key], value)
  end
end
for key, values in pairs(claimed) do
  for value, id in pairs(values) do
    queue('HSET', KEYS[key], value, id)
  end
end
for _, r in ipairs(records) do
  write_indexes(r)
end
-- SADD first: its keys alone are named by values. Where one of them holds something foreign the server stops
-- here, and all that was written is a hint too many, which reads see through.
for _, command in ipairs({'SADD', 'HDEL', 'HSET', 'SREM', 'ZREM', 'ZADD'}) do
  send(command)
end
local reply = {'OK'}
for number, r in ipairs(records) do
  reply[number + 1] = write_hash(r)
end
return reply
