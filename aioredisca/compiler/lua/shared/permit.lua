-- needs: call, stamp
-- gives: permit_refusal
-- One rule: nothing is written for a version of a class without its permit. Answers a refusal, or nothing and the permit.
-- Where that is m, whoever writes marks the ids of the records: they are copied to another place meanwhile.

local function permit_refusal(meta, name, number)
  local permit = call('HGET', meta, name)
  if permit == 's' then
    stamp(meta, name)
  elseif permit ~= '1' and permit ~= 'm' then
    return {'SCHEMA', number, permit or ''}
  end
  return nil, permit
end
