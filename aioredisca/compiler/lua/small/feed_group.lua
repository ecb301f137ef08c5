-- needs: call, is_before, trimmed
-- gives:
-- Takes entries of a feed for a consumer of a group: those that it was given before and has not acknowledged, as long as
-- it asks for them; then those that others were given and have left for too long; then new ones.
--
-- KEYS   the feed
-- ARGV   the run FEED_GROUP: group, consumer, how many entries at most, the milliseconds after which what others have not
--        acknowledged is taken from them, behind which place of its own it asks (or nothing), and where a group begins that
--        is to be made (or nothing)
-- reply  {'OK', the last entry that there is, entries, 1 if they were its own}, or {'GAP'} where entries are there no more
--        that nobody has acknowledged: the group goes on behind them

local $FEED_GROUP_NAMES = unpack(ARGV)
local key = KEYS[1]
if start ~= '' then
  local made = redis.pcall('XGROUP', 'CREATE', key, group, start, 'MKSTREAM')
  if made.err and not string.find(tostring(made.err), 'BUSYGROUP', 1, true) then
    return made
  end
end

-- Whether entries went that the group was never given.
local function is_behind()
  local first = call('XRANGE', key, '-', '+', 'COUNT', '1')[1]
  for _, info in ipairs(call('XINFO', 'GROUPS', key)) do
    local known = {}
    for i = 1, #info, 2 do
      known[info[i]] = info[i + 1]
    end
    local place, seen = known['last-delivered-id'], known['entries-read']
    if known.name == group and place ~= '0-0' and first and is_before(place, first[1]) then
      local _, length, added = trimmed(key)
      return not (seen and added) or added - seen > length
    end
  end
  return false
end

-- Entries that still hold something; what holds nothing was trimmed, and nobody will ever acknowledge it.
local function kept(entries)
  local found, gone = {}, 0
  for _, entry in ipairs(entries) do
    if entry and entry[2] then
      found[#found + 1] = entry
    else
      gone = gone + 1
      if entry then
        call('XACK', key, group, entry[1])
      end
    end
  end
  return found, gone
end

local function given(place)
  local read = call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', most, 'STREAMS', key, place)
  return kept(read and read[1] and read[1][2] or {})
end

if is_behind() then
  call('XGROUP', 'SETID', key, group, '0-0')
  return {'GAP'}
end
local entries, gone, mine = {}, 0, 0
if own ~= '' then
  entries, gone = given(own)
  mine = 1
end
if #entries == 0 and gone == 0 then
  local claimed = call('XAUTOCLAIM', key, group, consumer, idle, '0-0', 'COUNT', most)
  entries, gone = kept(claimed[2])
  gone, mine = gone + (claimed[3] and #claimed[3] or 0), 0
end
if gone > 0 then
  return {'GAP'}
end
if #entries == 0 then
  entries = given('>')
end
local last = call('XREVRANGE', key, '+', '-', 'COUNT', '1')[1]
return {'OK', last and last[1] or '0-0', entries, mine}
