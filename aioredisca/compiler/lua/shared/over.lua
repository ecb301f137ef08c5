-- needs: call, now
-- gives: is_over, bury, sweep, share
-- Records that end: which are over, and how what is left of them goes. Written out for classes that have such.
--
-- base/t    sorted set: id -> the millisecond of its end, which its key has as well
-- base/t/n  hash: id -> what stands of it in indexes, for the hash is gone then: entries of a letter and texts,
--           each after its length and a colon (see noted.lua)
--
-- Lines behind --claims are code where uniques hold over all partitions of a class, those behind --feed where one has
-- a feed: an end is told with the first look at what is left of the record.

-- Whether there is no record any more. On servers before 7.2 the time of keys stands still in a script, and the clock
-- does not: what has no time left may be over.
local function is_over(base, key, id)
  local left = call('PTTL', key)
  if left ~= 0 then
    return left == -2
  end
  local moment = call('ZSCORE', base .. '/t', id)
  return moment and tonumber(moment) < now
end

-- What else the server refuses is told, and the note stays. A key of another type holds no entry.
local function unless_foreign(...)
  local reply = redis.pcall(...)
  local error = type(reply) == 'table' and tostring(reply.err)
  return error and not string.find(error, 'WRONGTYPE', 1, true) and call(...) or reply
end

-- Takes away what is left of a record that is over. Claims that others hold by now stay theirs.
local function bury(base, id, collections)
  local note, at = call('HGET', base .. '/t/n', id) or '', 1
  --claims local claims = {}
  local function take()
    local colon = string.find(note, ':', at, true)
    local last = colon + tonumber(string.sub(note, at, colon - 1))
    at = last + 1
    return string.sub(note, colon + 1, last)
  end
  --feed if call('ZSCORE', base .. '/t', id) then
  --feed   tell(base, 'e', id, {})
  --feed end
  call('UNLINK', base .. ':' .. id)
  while at <= #note do
    local kind = string.sub(note, at, at)
    at = at + 1
    local key = base .. '/' .. take()
    if kind == 's' then
      unless_foreign('SREM', key, id)
    elseif kind == 'z' then
      unless_foreign('ZREM', key, id)
    elseif kind == 'h' then
      unless_foreign('HDEL', key, id)
    else
      local value = take()
      --claims if kind == 'u' then
      --claims   claims[#claims + 1], claims[#claims + 2] = string.sub(key, #base + 4), value
      --claims end
      if kind == 'm' then
        unless_foreign('ZREM', key, value)
      elseif unless_foreign('HGET', key, value) == id then
        call('HDEL', key, value)
      end
    end
  end
  if collections then
    call('UNLINK', unpack(collections(base, id)))
  end
  call('ZREM', base .. '/ids', id)
  call('HDEL', base .. '/t/n', id)
  call('ZREM', base .. '/t', id)
  --claims if claims[1] then
  --claims   vacate(base, id, claims)
  --claims end
end

-- Of up to *most* records whose moment has come the key decides: somebody may have given it another end, or none.
local function sweep(base, most, collections)
  local due = call('ZRANGEBYSCORE', base .. '/t', '-inf', '(' .. now, 'LIMIT', 0, most)
  for _, id in ipairs(due) do
    local left = call('PTTL', base .. ':' .. id)
    if left > 0 then
      call('ZADD', base .. '/t', now + left, id)
      call('PEXPIREAT', base .. ':' .. id, now + left)
    elseif left == -1 then
      call('ZREM', base .. '/t', id)
      call('HDEL', base .. '/t/n', id)
    else
      bury(base, id, collections)
    end
  end
  return #due
end

-- How many of those that are due a write takes away that may have added so many: more than these. Where they have
-- piled up it is a hundred in all, as far as that is more: no call works much longer than another.
local function share(due, added)
  return due > 100 and math.max(100 - added, math.ceil(1.2 * added)) or math.min(2 * added, 120)
end
