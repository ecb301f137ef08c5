-- Saves and deletes a batch of records: all of it, or nothing.
--
-- CLASSES  the declarations of the classes in the batch, and the parts that this body
--          goes on from (scripts.py)
-- KEYS     the fixed keys of every class, in the order that CLASSES numbers them, then one key per record
-- ARGV     per record: class number, id, mode (c create, u update, s create or update, d delete,
--          i write the index entries of a record anew, n add to a number: see count.lua),
--          again (1: an earlier send got no answer, p: pass over the record if it is not as expected),
--          declared (1: a declared field is set),
--          four counts, and so many of
--            expectations  field, 1 or 0 (there or not), value
--            index changes number of the index, number of the pair that sets it or 0, score or digest
--            pairs         field, value
--            drops         field
-- reply    {'OK', per record 1 or 0 (created, or deleted), 2 (passed over) or its new number}, or a refusal,
--          with nothing written:
--          {'SCHEMA', class, signature}  {'TYPE', record}  {'EXISTS', record}  {'GONE', record}
--          {'STALE', record, field ...}  {'REQUIRED', record, field}  {'UNIQUE', record, holder, field ...}
--          {'RESTRICTED', record, model, id, reference, holder}  {'MANY', record}
--          {'NUMBER', record, field}: holds no number  {'BOUNDS', record, field, stored value}
--
-- Everything is read and judged first; writes go claims, indexes, hashes. What an index held before is
-- taken from the stored hash, never from the client. Scores pass as text.

local refusal = strange_signature()
if refusal then
  return refusal
end
local records = {}
for number = 1, #KEYS - FIXED do
  records[number] = take_record(number)
  refusal = prepare(records[number])
  if refusal then
    return refusal
  end
end
return PART.spread and PART.spread(records) or commit(records)
