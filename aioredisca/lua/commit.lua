-- Judges a batch that was read, and carries it out: claims, indexes, hashes.

local function keeps_declared(r)
  local dropped = meaning(r)
  for _, field in ipairs(r.lost and PART.lost_fields(r) or {}) do
    dropped[field] = false
  end
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
  if r.declared and not r.lost then
    if r.old[MARKER] then
      call('HDEL', r.key, MARKER)
    end
  elseif r.lost and not keeps_declared(r) then
    call('HSET', r.key, MARKER, '1')
  elseif not r.exists or (r.last_drop >= r.drops and not keeps_declared(r)) then
    call('HSET', r.key, MARKER, '1')
  end
end

local function write_hash(r)
  if r.passed then
    return 2
  end
  if r.mode == 'd' then
    for _, name in ipairs(r.class.collections or {}) do
      call('UNLINK', string.sub(KEYS[r.class.meta], 1, -5) .. 'l/' .. name .. '/' .. r.id)
    end
    return call('UNLINK', r.key) > 0 and not r.overruled and 1 or 0
  end
  for first = r.pairs, r.last_pair, SLICE do
    call('HSET', r.key, unpack(ARGV, first, min(first + SLICE - 1, r.last_pair)))
  end
  if r.sum then
    call('HSET', r.key, r.sum.field, r.sum.text)
  end
  write_marker(r)
  for first = r.drops, r.last_drop, SLICE do
    call('HDEL', r.key, unpack(ARGV, first, min(first + SLICE - 1, r.last_drop)))
  end
  if r.lost then
    call('HDEL', r.key, unpack(PART.lost_fields(r)))
  end
  return r.sum and r.sum.text or r.exists and 0 or 1
end

local function prepare(r)
  local refusal = read(r)
  if refusal then
    return refusal
  end
  refusal = judge(r)
  if refusal and r.pass then
    refusal, r.passed = nil, true
  end
  r.list = (refusal or r.passed) and {} or changes(r)
  return refusal
end

local function queue_claims()
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
end

-- A refusal with nothing written, or the reply.
local function commit(records)
  for _, r in ipairs(records) do
    free_uniques(r)
  end
  for _, r in ipairs(records) do
    local refusal = claim_uniques(r)
    if refusal then
      return refusal
    end
  end
  queue_claims()
  for _, r in ipairs(records) do
    if not r.passed then
      write_indexes(r)
    end
  end
  send_all()
  local reply = {'OK'}
  for _, r in ipairs(records) do
    local outcome = write_hash(r)
    if not r.follows then
      reply[#reply + 1] = outcome
    end
  end
  return reply
end

local function strange_signature()
  for number, class in ipairs(CLASSES) do
    local signature = call('HGET', KEYS[class.meta], 'signature')
    if signature ~= class.signature then
      return {'SCHEMA', number, signature or ''}
    end
  end
end
