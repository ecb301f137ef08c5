-- needs: call, eviction_policy
-- gives:
-- Asks, before the first write, which rights this database user lacks; changes nothing that stays.
--
-- KEYS   meta, ids and the other fixed keys of the model
-- ARGV   a token that names nothing, then per check: kind (h hash, s set, z sorted set, r its scores, l list, e its end,
--        f feed, a what no feed is added to), key
-- reply  {fields and values of meta, number of records, eviction policy or '', then command and key of every right
--        that is missing}
local token = ARGV[1]
local TRIES = {
  h = {{'HDEL', token}, {'UNLINK'}, {'HMGET', token}, {'TYPE'}, {'EXISTS'}, {'HSET', token, token}},
  s = {{'SREM', token}, {'SADD', token}},
  z = {{'ZREM', token}, {'ZADD', 'XX', '0', token}},
  r = {{'ZSCORE', token}},
  l = {{'LREM', '0', token}, {'LLEN'}, {'LRANGE', '0', '0'}, {'RPUSH', token}},
  e = {{'PTTL'}, {'PERSIST'}, {'PEXPIREAT', '1'}},
  f = {{'XLEN'}},
  a = {{'XADD', 'NOMKSTREAM', '*', '-', '-'}},
}
local UNDO = {HSET = 'HDEL', SADD = 'SREM'}

local function allowed(command, key, ...)
  if redis.acl_check_cmd then
    return redis.acl_check_cmd(command, key, ...)
  end
  -- Redis 6.2 cannot be asked, only tried: on a name that nothing has, and undone in the same breath.
  -- Removals come first in TRIES, so nothing is added that could not be taken away.
  if command == 'UNLINK' and not string.find(key, token, 1, true) then
    return true
  end
  local reply = redis.pcall(command, key, ...)
  local error = type(reply) == 'table' and reply.err and tostring(reply.err)
  if error then
    return not (string.find(error, 'NOPERM') or string.find(error, "executing the script can't"))
  end
  if UNDO[command] then
    call(UNDO[command], key, token)
  elseif command == 'RPUSH' then
    call('LREM', key, '0', token)
  end
  return true
end

for _, read in ipairs({{'HGET', KEYS[1], token}, {'HGETALL', KEYS[1]}, {'ZCARD', KEYS[2]}}) do
  if not allowed(unpack(read)) then
    return {{}, 0, '', read[1], read[2]}
  end
end
local reply = {call('HGETALL', KEYS[1]), call('ZCARD', KEYS[2]), eviction_policy()}
for at = 2, #ARGV, 2 do
  for _, try in ipairs(TRIES[ARGV[at]]) do
    local command = try[1]
    if not allowed(command, ARGV[at + 1], unpack(try, 2)) then
      reply[#reply + 1] = command
      reply[#reply + 1] = ARGV[at + 1]
      break
    end
  end
end
return reply
