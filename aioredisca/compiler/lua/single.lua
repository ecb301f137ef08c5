-- The same as the rest of the script for the commonest call: one record, nothing expected, indexes of single
-- fields by value or score. It is straight code, for what a single save costs is mostly what is built on the way.
-- A part between "each" and "end" is written out for every field that has such a key, "marker" for classes
-- without a required field; what $ stands before is filled in (scripts.py).
--
-- The client asks for it (groups.py) by '' in the place of the number of groups.
--
-- ARGV     '', id, mode (c, u, s, d), 1 if a declared field is set, where in ARGV
--          the pairs end, where the extras end, then pairs (field, value), extras (field, score or digest), drops

if ARGV[1] == '' then
  local call, LONG, MARKER = redis.call, 512, '_'
  local key, id, mode, declared = KEYS[#KEYS], ARGV[2], ARGV[3], ARGV[4] == '1'
  local last_pair, last_extra = tonumber(ARGV[5]), tonumber(ARGV[6])
  local signature = call('HGET', KEYS[1], 'signature')
  if signature ~= $signature then
    return {'SCHEMA', 1, signature or ''}
  end

  local new, extras, old, exists = {}, {}, {}, false
  for i = 7, last_pair, 2 do
    new[ARGV[i]] = ARGV[i + 1]
  end
  for i = last_pair + 1, last_extra, 2 do
    extras[ARGV[i]] = ARGV[i + 1]
  end
  for i = last_extra + 1, #ARGV do
    new[ARGV[i]] = false
  end
  if mode == 'c' then
    exists = call('EXISTS', key) == 1
  else
    old = redis.pcall('HMGET', key, $fields)
    for _, value in ipairs(old) do
      exists = exists or value
    end
    exists = exists or not old.err and call('EXISTS', key) == 1
  end
  if (old.err or mode == 'c' and exists) and call('TYPE', key).ok ~= 'hash' then
    return {'TYPE', 1}
  elseif old.err then
    return old
  elseif mode == 'c' and exists then
    return {'EXISTS', 1}
  elseif mode == 'u' and not exists then
    return {'GONE', 1}
  end
  --each required
  if not exists and not new[$field] and mode ~= 'd' then
    return {'REQUIRED', 1, $field}
  end
  --end

  local base, keeps = string.sub(KEYS[1], 1, -6), exists and mode ~= 'd'
  --each tracked
  local before$n, after$n = old[$at] or false, new[$field]
  if after$n == nil then
    after$n = keeps and before$n
  end
  --end
  --each unique
  local owned$n = before$n and before$n ~= after$n and call('HGET', $unique, before$n) == id
  if after$n and after$n ~= before$n then
    local holder = call('HGET', $unique, after$n)
    if holder and holder ~= id and call('HGET', base .. ':' .. holder, $field) == after$n then
      return {'UNIQUE', 1, holder, $field}
    end
  end
  --end

  --each digests
  local stem$n, digest$n = base .. '/x/' .. $field .. '/', nil
  if after$n and after$n ~= before$n then
    call('SADD', #after$n <= LONG and stem$n .. after$n or base .. '/y/' .. $field .. '/' .. extras[$field], id)
  end
  --end
  --each unique
  if owned$n then
    call('HDEL', $unique, before$n)
  end
  if after$n and after$n ~= before$n then
    call('HSET', $unique, after$n, id)
  end
  --end
  --each digests
  if before$n and before$n ~= after$n then
    if #before$n <= LONG then
      call('SREM', stem$n .. before$n, id)
    else
      digest$n = call('HGET', $digests, id)
      call('HDEL', $digests, id)
    end
    if digest$n then
      call('SREM', base .. '/y/' .. $field .. '/' .. digest$n, id)
    end
  end
  if after$n and after$n ~= before$n and #after$n > LONG then
    call('HSET', $digests, id, extras[$field])
  end
  --end
  --each range
  if after$n and after$n ~= before$n then
    call('ZADD', $range, extras[$field] or after$n, id)
  elseif before$n and not after$n then
    call('ZREM', $range, id)
  end
  --end
  --each none
  if not before$n and (after$n and exists or mode == 'd') then
    call('SREM', $none, id)
  elseif not after$n and (before$n or not exists) and mode ~= 'd' then
    call('SADD', $none, id)
  end
  --end

  if mode == 'd' then
    call('ZREM', KEYS[2], id)
    for _, name in ipairs({$collections}) do
      call('UNLINK', base .. '/l/' .. name .. '/' .. id)
    end
    return {'OK', call('UNLINK', key)}
  elseif not exists then
    call('ZADD', KEYS[2], '0', id)
  end
  if last_pair > 6 then
    call('HSET', key, unpack(ARGV, 7, last_pair))
  end
  --each marker
  if declared and old[1] then
    call('HDEL', key, MARKER)
  elseif not declared then -- a record that would hold no declared field holds the marker
    local holds = exists and last_extra == #ARGV
    local fields = exists and not holds and {$declared} or {}
    for i, value in ipairs(#fields > 0 and call('HMGET', key, unpack(fields)) or {}) do
      holds = holds or value and new[fields[i]] ~= false
    end
    if not holds then
      call('HSET', key, MARKER, '1')
    end
  end
  --end
  if exists and last_extra < #ARGV then
    call('HDEL', key, unpack(ARGV, last_extra + 1))
  end
  return {'OK', exists and 0 or 1}
end
