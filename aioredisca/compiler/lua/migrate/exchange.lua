-- needs: call
-- gives:
-- Sets and removes hash fields that no index knows of, in all of these records or in none.
--
-- KEYS   meta, then one key per record
-- ARGV   the run EXCHANGE of positions.py: signature and word of the meta as they were seen; then per record: how many
--        fields it must hold as they were seen, how many it is given, and those fields, each with = before its value or
--        with nothing
-- reply  {'OK'}, or with nothing written {'META'} or {'STALE', which}
local meta = call('HMGET', KEYS[1], 'signature', 'ver')
if (meta[1] or '') ~= ARGV[$EXCHANGE_SIGNATURE] or (meta[2] or '') ~= ARGV[$EXCHANGE_WORD] then
  return {'META'}
end

local rows, at = {}, $EXCHANGE_SIZE
for n = 2, #KEYS do
  local expected, given = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  at = at + 2
  for i = at + 1, at + 2 * expected, 2 do
    local value = redis.pcall('HGET', KEYS[n], ARGV[i])
    if type(value) == 'table' then -- it is no record any more, or the server refuses to read it
      return call('TYPE', KEYS[n]).ok == 'hash' and value or {'STALE', n - 1}
    end
    if (value and '=' .. value or '') ~= ARGV[i + 1] then
      return {'STALE', n - 1}
    end
  end
  rows[n] = {at + 2 * expected + 1, at + 2 * (expected + given)}
  at = rows[n][2]
end

for n = 2, #KEYS do
  local first, last = unpack(rows[n])
  for i = first, last, 2 do
    if ARGV[i + 1] ~= '' then
      call('HSET', KEYS[n], ARGV[i], string.sub(ARGV[i + 1], 2))
    end
  end
  for i = first, last, 2 do
    if ARGV[i + 1] == '' and call('HGET', KEYS[n], ARGV[i]) then
      if call('HLEN', KEYS[n]) == 1 then -- a hash without fields is none: the record stays
        call('HSET', KEYS[n], $MARKER, '1')
      end
      call('HDEL', KEYS[n], ARGV[i])
    end
  end
end
return {'OK'}
