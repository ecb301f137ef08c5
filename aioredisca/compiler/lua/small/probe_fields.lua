-- needs:
-- gives:
-- Before probe.lua, of classes whose fields end: whether the server lets them. To ask changes nothing, for meta has no
-- such field.

local tried = redis.pcall('HPEXPIRE', KEYS[1], '1', 'FIELDS', '1', $MARKER)
if tried.err and string.find(string.lower(tried.err), 'unknown', 1, true) then
  return {{}, 0, '', 'HPEXPIRE', ''}
elseif tried.err and (string.find(tried.err, 'NOPERM') or string.find(tried.err, "executing the script can't")) then
  return {{}, 0, '', 'HPEXPIRE', KEYS[1]}
elseif tried.err then -- it takes no writes now: a replica, or full
  return tried
end
