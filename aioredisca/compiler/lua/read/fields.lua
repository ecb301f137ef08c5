-- needs: width, SLICE, call, records, FIELDS, min
-- gives: fields_of, any
-- What a record holds in the fields asked for.

local function fields_of(id)
  if width <= SLICE then
    return call('HMGET', records .. id, unpack(ARGV, FIELDS, FIELDS + width - 1))
  end
  local all = {}
  for first = FIELDS, FIELDS + width - 1, SLICE do
    local some = call('HMGET', records .. id, unpack(ARGV, first, min(first + SLICE, FIELDS + width) - 1))
    for i = 1, #some do
      all[#all + 1] = some[i]
    end
  end
  return all
end

local function any(values)
  for i = 1, #values do
    if values[i] then
      return true
    end
  end
  return false
end
