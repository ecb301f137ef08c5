-- needs: call
-- gives:
-- Removes entries of one index that their records deny, if these are still as the client saw them.
--
-- KEYS   the index, then the record of each entry
-- ARGV   the type that the index must have, number of fields, field ...,
--        then per entry: its member, what a hash holds there, what TYPE says of the record's key,
--        and the fields of the record (= before them, nothing where there is none)
-- reply  how many were removed

local kind, width = ARGV[$SWEEP_KIND], tonumber(ARGV[$SWEEP_WIDTH])
local REMOVE = {set = 'SREM', zset = 'ZREM', hash = 'HDEL'}
local row = $SWEEP_SIZE + width

if call('TYPE', KEYS[1]).ok ~= kind then -- nothing, or foreign: no write could go on beside that
  return call('UNLINK', KEYS[1])
end

local function unchanged(record)
  local was = ARGV[row + 3]
  if call('TYPE', record).ok ~= was then
    return false
  end
  for i = 1, was == 'hash' and width or 0 do
    local value = call('HGET', record, ARGV[$SWEEP_SIZE + i])
    if (value and '=' .. value or '') ~= ARGV[row + 3 + i] then
      return false
    end
  end
  return true
end

local removed = 0
for n = 2, #KEYS do
  local member, content = ARGV[row + 1], ARGV[row + 2]
  if (kind ~= 'hash' or call('HGET', KEYS[1], member) == content) and unchanged(KEYS[n]) then
    removed = removed + call(REMOVE[kind], KEYS[1], member)
  end
  row = row + 3 + width
end
return removed
