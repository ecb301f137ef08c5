-- needs:
-- gives: stamp
-- A version that is to be replaced leaves the time of its last write, so that nobody ends it who still needs it.

local function stamp(meta, permit)
  local time = redis.pcall('TIME') -- a right that writes do not need otherwise
  local seen = time.err and '?' or time[1] * 1000 + math.floor(time[2] / 1000)
  -- Where memory is full a delete goes on without; what else the server does not take fails by itself.
  redis.pcall('HSET', meta, 'seen:' .. string.sub(permit, 3), seen)
end
