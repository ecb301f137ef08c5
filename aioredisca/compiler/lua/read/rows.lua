-- needs: width, fields_of, prove, any, call, records
-- gives: fetch, fetch_all
-- What a row is made of.

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
