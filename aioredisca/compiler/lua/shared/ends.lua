-- needs: call, now
-- gives: wanted_end
-- When a record ends that was just written.
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
