-- needs: call
-- gives:
-- Takes away records with their collections, and their ids.
--
-- KEYS   the set of all ids, then what is to go
-- ARGV   how many ids, the ids
-- reply  {'OK'}
for n = 2, #KEYS do
  call('UNLINK', KEYS[n])
end
for n = 1, tonumber(ARGV[1]) do
  call('ZREM', KEYS[1], ARGV[n + 1])
end
return {'OK'}
