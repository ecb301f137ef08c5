-- needs:
-- gives: eviction_policy
-- The policy by which the server throws keys away when its memory is full: one of all keys, or of those that end.
-- Without a limit of memory, and where nobody may ask for it, the empty string.

local function eviction_policy()
  if redis.acl_check_cmd and not redis.acl_check_cmd('INFO', 'memory') then
    return ''
  end
  local memory = redis.pcall('INFO', 'memory')
  if type(memory) ~= 'string' or string.find(memory, '\nmaxmemory:0\r', 1, true) then
    return ''
  end
  return string.match(memory, 'maxmemory_policy:(%w+%-[%w-]+)') or ''
end
