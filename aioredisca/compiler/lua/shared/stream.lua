-- needs: call
-- gives: is_before, trimmed
-- Places in a stream, and what is known of what is there no more.

local function is_less(one, other) -- numbers of up to 64 bits, of which a double tells not all
  return #one < #other or #one == #other and one < other
end

local function is_before(one, other)
  local time, count = string.match(one, '^(%d+)-(%d+)$')
  local other_time, other_count = string.match(other, '^(%d+)-(%d+)$')
  return is_less(time, other_time) or time == other_time and is_less(count, other_count)
end

-- The last id that the stream has given, nothing where there is no stream; how many entries there are, and how many
-- there were, nothing where the server does not count them (Redis 6.2).
local function trimmed(key)
  if call('EXISTS', key) == 0 then
    return nil
  end
  local list, known = call('XINFO', 'STREAM', key), {}
  for i = 1, #list, 2 do
    known[list[i]] = list[i + 1]
  end
  return known['last-generated-id'], known['length'], known['entries-added']
end
