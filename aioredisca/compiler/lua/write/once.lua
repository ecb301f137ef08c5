-- needs: call, groups
-- gives:
-- What does something besides is carried out once, however often it is sent: the last of its commands (after.lua) is
-- a SET that notes it. Where the note stands all was done, and others may have gone on from there.

if call('GET', KEYS[#KEYS]) == ARGV[#ARGV - 4] then
  local reply = {'OK'}
  for _, g in ipairs(groups) do
    for _ = 1, g.count do
      reply[#reply + 1] = 1
    end
  end
  return reply
end
