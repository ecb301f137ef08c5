-- needs:
-- gives: leave, refused
-- One rule: entries that are no longer true go last, and what the server refuses to remove stays, for reads see
-- through it. A key of another type holds no entry. A right that is missing is told, once all else is done.

local try, refused = redis.pcall, nil
local function leave(...)
  local reply = try(...)
  if reply ~= 1 and reply ~= 0 and type(reply) == 'table' and not string.find(tostring(reply.err), 'WRONGTYPE', 1, true) then
    refused = refused or reply
  end
end
