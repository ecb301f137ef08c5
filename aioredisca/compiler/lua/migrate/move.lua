-- needs: call
-- gives:
-- Copies records to another prefix, with their collections and the moments at which they end.
--
-- KEYS   the set of all ids of the other prefix, then per record pairs of keys: from, to. The first is the record's,
--        the others are those of its collections.
-- ARGV   how many pairs per record, then the ids
-- reply  {'OK'}
local pairs_of = tonumber(ARGV[1])
local at = 2
for n = 2, (#KEYS - 1) / (2 * pairs_of) + 1 do
  local exists = call('EXISTS', KEYS[at]) == 1
  for i = at, at + 2 * pairs_of - 1, 2 do
    if call('EXISTS', KEYS[i]) == 0 or not exists then
      call('UNLINK', KEYS[i + 1])
    else
      call('COPY', KEYS[i], KEYS[i + 1], 'REPLACE')
    end
  end
  if exists then
    call('ZADD', KEYS[1], 0, ARGV[n])
  else
    call('ZREM', KEYS[1], ARGV[n])
  end
  at = at + 2 * pairs_of
end
return {'OK'}
