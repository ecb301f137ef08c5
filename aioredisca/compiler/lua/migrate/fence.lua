-- needs: call
-- gives: ledger, left, field, moved, leaves, settles
-- Before a batch of a migration: nothing is written by a runner whose lease another one has taken meanwhile, nor
-- where the cursor is not the one that it went on from. What the batch itself does stands between this and advance;
-- it finds KEYS and ARGV as if it was alone.
--
-- KEYS   those of the batch, then the lease, the ledger, and what is left out
-- ARGV   those of the batch, then per record that is left out its id and the reason, the ids that are no longer,
--        then the run JOURNAL of positions.py: the holder and its milliseconds, the field of the ledger, what it
--        held, what it is to hold (empty: nothing), how many are left out, how many no longer
-- reply  {'LEASE', who} or {'CURSOR', what the field holds}, with nothing written; else that of the batch

local function taken(list, count)
  local found, first = {}, #list - count
  for i = 1, count do
    found[i] = list[first + i]
  end
  for i = #list, first + 1, -1 do
    list[i] = nil
  end
  return found
end

local lease, ledger, left = unpack(taken(KEYS, 3))
local $JOURNAL_NAMES = unpack(taken(ARGV, $JOURNAL_SIZE))
settles = taken(ARGV, tonumber(settles))
leaves = taken(ARGV, 2 * tonumber(leaves))
local held = call('GET', lease)
if held and held ~= holder then
  return {'LEASE', held}
end
local stood = call('HGET', ledger, field) or ''
if stood ~= seen then
  return {'CURSOR', stood}
end
call('HGET', left, '') -- a foreign type is met before anything is written
call('SET', lease, holder, 'PX', milliseconds)
