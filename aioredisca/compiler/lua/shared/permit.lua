-- needs: call, stamp
-- gives: permit_refusal
-- One rule: nothing is written for a version of a class without its permit. Answers a refusal, or nothing and the permit.

local function permit_refusal(meta, name, number)
  local permit = call('HGET', meta, name)
  if permit == 's' then
    stamp(meta, name)
  elseif permit ~= '1' then
    return {'SCHEMA', number, permit or ''}
  end
  return nil, permit
end
