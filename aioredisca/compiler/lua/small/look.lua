-- needs: call
-- gives:
-- Answers several reads of what is there at one moment. Writes nothing.
--
-- KEYS   one per read
-- ARGV   per read: the command, how many arguments follow the key, these
-- reply  what each answered; nothing where the key holds another type

local replies, at = {}, 0
for n, key in ipairs(KEYS) do
  local command, last = ARGV[at + 1], at + 2 + tonumber(ARGV[at + 2])
  local reply = command == 'TIME' and call('TIME') or redis.pcall(command, key, unpack(ARGV, at + 3, last))
  if type(reply) == 'table' and reply.err then
    if not string.find(tostring(reply.err), 'WRONGTYPE', 1, true) then
      return reply
    end
    reply = false
  end
  replies[n], at = reply, last
end
return replies
