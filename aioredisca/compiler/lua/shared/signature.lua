-- needs: call
-- gives: signature_refusal
-- One rule: nothing is written for a class while the store keeps other indexes than the client knows of.

local function signature_refusal(meta, signature, number)
  local stored = call('HGET', meta, 'signature')
  if stored ~= signature then
    return {'SCHEMA', number, stored or ''}
  end
end
