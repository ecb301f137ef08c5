-- needs: call, ledger, left, field, moved, leaves, settles, batch
-- gives:
-- Behind a batch of a migration: the ledger learns of it in the same script, and so at the same moment.
local reply = batch()
if reply[1] == 'OK' then
  if moved == '' then
    call('HDEL', ledger, field)
  else
    call('HSET', ledger, field, moved)
  end
  for i = 1, #leaves, 2 do
    call('HSET', left, field .. ':' .. leaves[i], leaves[i + 1])
  end
  for i = 1, #settles do
    call('HDEL', left, field .. ':' .. settles[i])
  end
end
return reply
