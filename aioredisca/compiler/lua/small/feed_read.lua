-- needs: call, is_before, trimmed
-- gives:
-- Reads entries of a feed behind a place. Writes nothing.
--
-- KEYS   the feed
-- ARGV   the run FEED_READ: the place; 1 if there was an entry, 0 if it is a moment; how many entries at most; how many
--        the feed keeps at least: with less nothing was cut, where the server does not count
-- reply  {'OK', entries}, or {'GAP'} where some behind the place are there no more, or may be

local place, exact = ARGV[$FEED_READ_PLACE], ARGV[$FEED_READ_EXACT] == '1'
local first = call('XRANGE', KEYS[1], '-', '+', 'COUNT', '1')[1]
local found = call('XRANGE', KEYS[1], '(' .. place, '+', 'COUNT', ARGV[$FEED_READ_MOST])
local behind = place ~= '0-0' and (not first or is_before(place, first[1]))
if behind or exact and not found[1] then
  local last, length, added = trimmed(KEYS[1])
  local lost = exact
  if last and not is_before(last, place) then
    local cut = added and added ~= length or not added and length >= tonumber(ARGV[$FEED_READ_KEPT])
    lost = behind and last ~= place and (exact or cut)
  end
  if lost then
    return {'GAP'}
  end
end
return {'OK', found}
