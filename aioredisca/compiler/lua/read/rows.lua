-- needs: width, SLICE, call, records, FIELDS, min, prove
-- gives: fetch, fetch_all
-- What a row is made of.

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

local function fetch(rows, id)
  local values = width > 0 and fields_of(id) or nil
  if prove and not any(values or {}) and call('EXISTS', records .. id) == 0 then
    return
  end
  local last = #rows
  rows[last + 1] = id
  rows[last + 2] = values
end

local function fetch_all(ids)
  local rows = {}
  for i = 1, #ids do
    fetch(rows, ids[i])
  end
  return rows
end
