-- needs: call
-- gives:
-- Writes, if all that was looked at before is still so.
--
-- KEYS   one per command
-- ARGV   how many of the commands are guards, then per command: its name, how many arguments follow the key, these;
--        behind those of a guard what it answered, = before it, nothing where it answered nothing
-- reply  1 written, 0 something has changed

local at = 1
for n, key in ipairs(KEYS) do
  local last = at + 2 + tonumber(ARGV[at + 2])
  local reply = call(ARGV[at + 1], key, unpack(ARGV, at + 3, last))
  if n <= tonumber(ARGV[1]) then
    last = last + 1
    reply = type(reply) == 'table' and reply.ok or reply
    if (reply and '=' .. reply or '') ~= ARGV[last] then
      return 0
    end
  end
  at = last
end
return 1
