-- needs: call
-- gives: holds_value
-- One rule: what an index says of a record is a hint. A claim on a unique value, or a reference found by its
-- index, counts only while the record itself holds the value.

local function holds_value(record, field, value)
  return call('HGET', record, field) == value
end
