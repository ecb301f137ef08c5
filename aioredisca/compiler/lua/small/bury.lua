-- needs: call, permit_refusal, CLASSES, now, sweep
-- gives:
-- Takes away what is left of records that are over, of the one class that is declared.
--
-- KEYS   the fixed keys of the class
-- ARGV   how many records at most
-- reply  {'OK', how many were looked at, how many wait}, or {'SCHEMA', 1, permit}

local class = CLASSES[1]
local refusal = permit_refusal(KEYS[1], class.permit, 1)
if refusal then
  return refusal
end
local base = string.sub(KEYS[1], 1, -6)
local seen = sweep(base, tonumber(ARGV[1]), class.collections)
return {'OK', seen, call('ZCOUNT', base .. '/t', '-inf', '(' .. now)}
