-- needs: call, timed
-- gives:
-- Fields that end, once the hashes are written: HSET took the end that a field had. The marker stays from here on, so
-- that a record does not go when its last field ends.

for _, one in ipairs(timed) do
  local g, field, ttl = one[1], one[2], one[3]
  for i = 1, g.count do
    local key = g.key or KEYS[g.key_at + i]
    call('HSET', key, $MARKER, '1')
    call('HPEXPIRE', key, ttl, 'FIELDS', '1', field)
  end
end
