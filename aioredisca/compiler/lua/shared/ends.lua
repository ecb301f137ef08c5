-- needs: call, now, bury
-- gives: wanted_end, set_end
-- The end of a record that was just written: when that is, and how it is kept.
--
-- A call says of it: '' as it was, p none, r and milliseconds from now on, n the same for a new record, a and a moment.

-- The millisecond, or nothing for a record that lives on. *moment*: its end so far. An end that somebody else gave to
-- the key of a record that had none counts.
local function wanted_end(ends, existed, key, moment)
  local how, number = string.sub(ends, 1, 1), tonumber(string.sub(ends, 2))
  if how == 'a' then
    return number
  elseif number and (how == 'r' or not existed) then
    return now + number
  elseif how == 'p' or not existed then
    return nil
  end
  local left = moment and -1 or call('PTTL', key)
  return moment or left >= 0 and now + left or nil
end

local function set_end(base, key, id, wanted, moment, collections)
  local moments = base .. '/t'
  if not wanted then
    call('PERSIST', key)
    call('ZREM', moments, id)
    call('HDEL', moments .. '/n', id)
    return
  end
  local text = string.format('%.0f', wanted)
  call('ZADD', moments, text, id)
  call('PEXPIREAT', key, text)
  if wanted - now < 100 and call('EXISTS', key) == 0 then -- that moment is past: the key went at once
    bury(base, id, collections)
  end
end
