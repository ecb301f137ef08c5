-- needs: send, call, FIXED, adds
-- gives:
-- Adds to collections, but for those of records that a delete in the same call took along.

for _, one in ipairs(adds) do
  if call('EXISTS', KEYS[FIXED + one.record]) == 1 then
    send(call, one.command, one.key, ARGV, one.first, one.last)
  end
end
