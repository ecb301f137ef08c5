-- needs: call
-- gives:
-- Takes a lease, or prolongs it, or gives it back.
--
-- KEYS   the lease
-- ARGV   the run LEASE (name of the holder, milliseconds for which it is to last; 0 gives it back)
-- reply  {} done, {holder, milliseconds left} somebody else holds it

local holder = call('GET', KEYS[1])
if holder and holder ~= ARGV[$LEASE_HOLDER] then
  return {holder, call('PTTL', KEYS[1])}
elseif ARGV[$LEASE_LASTS] ~= '0' then
  call('SET', KEYS[1], ARGV[$LEASE_HOLDER], 'PX', ARGV[$LEASE_LASTS])
else
  call('UNLINK', KEYS[1])
end
return {}
