-- needs:
-- gives: call

local call = redis.call -- found faster
