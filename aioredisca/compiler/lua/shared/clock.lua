-- needs: call
-- gives: clock, now
-- The milliseconds of the server's clock. A record is over when its moment is before now, as its key is.

local function clock()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local now = clock()
