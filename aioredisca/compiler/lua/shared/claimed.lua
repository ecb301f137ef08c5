-- needs: call, joined
-- gives: holds_claimed
-- Whether a record holds the value of a unique, which is called by its fields with / between.

local function holds_claimed(key, of, value)
  local fields = {}
  for field in string.gmatch(of, '[^/]+') do
    fields[#fields + 1] = field
  end
  local values = call('HMGET', key, unpack(fields))
  if fields[2] then
    return joined(values, #fields) == value
  end
  return values[1] == value
end
