-- needs: call
-- gives: now
-- The milliseconds of the server's clock. A record is over when its moment is before now, as its key is.

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
