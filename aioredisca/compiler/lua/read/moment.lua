-- needs: FIELDS, MOMENTS, call, records, fields_of, any
-- gives: fields_of
-- The moment of its end as the first of the fields of a record, where it is asked for. No hash holds it, so it is no
-- proof that there is the record.

local with_moment, hash_fields = ARGV[FIELDS] == $MOMENT, fields_of
local function fields_of(id)
  local values = hash_fields(id)
  if with_moment and (any(values) or call('EXISTS', records .. id) == 1) then
    local moment = call('ZSCORE', MOMENTS, id)
    values[1] = moment and string.format('%.0f', moment)
  end
  return values
end
