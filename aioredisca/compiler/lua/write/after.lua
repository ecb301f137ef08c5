-- needs: call, send
-- gives: after_key
-- What a call does besides, once its records are written: commands on their collections, or on the ends of their
-- fields. None of it can fail: a collection is emptied first. The last is SET, value, PX, milliseconds: see once.lua.
--
-- Behind the groups, per command: its name, how many arguments follow behind its key, and these. At the very end:
-- where the first begins in ARGV, and how many keys come before those of the commands, which have one each.

local after, after_key, count = tonumber(ARGV[#ARGV - 1]), tonumber(ARGV[#ARGV]), 0
while after < #ARGV - 1 do
  after_key, count = after_key + 1, tonumber(ARGV[after + 1])
  if count == 0 then
    call(ARGV[after], KEYS[after_key])
  else
    send(call, ARGV[after], KEYS[after_key], ARGV, after + 2, after + 1 + count)
  end
  after = after + 2 + count
end
