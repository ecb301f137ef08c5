-- needs:
-- gives:
-- Which of some commands this database user may not call on a key. Calls none of them.
--
-- KEYS   the key
-- ARGV   the commands
-- reply  {those that are denied, as 'GET SET'}, or {} where the server cannot be asked (Redis 6.2)

if not redis.acl_check_cmd then
  return {}
end
local denied = {}
for _, command in ipairs(ARGV) do
  local known, allowed = pcall(redis.acl_check_cmd, command, KEYS[1])
  if known and not allowed then
    denied[#denied + 1] = command
  end
end
return {table.concat(denied, ' ')}
