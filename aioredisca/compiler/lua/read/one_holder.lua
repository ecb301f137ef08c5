-- needs: call, tree_at
-- gives:
-- The record of one unique value. There is one at most, so no order matters, and nothing of what the other parts of
-- this script define is needed. Whether it holds the value tells its row.

do
  local width = tonumber(ARGV[$QUERY_WIDTH])
  local anew = ARGV[$QUERY_CURSOR] == '' and ARGV[$QUERY_OFFSET] == '0' and ARGV[$QUERY_LIMIT] ~= '0'
  if ARGV[tree_at] == 'H' and anew and ARGV[$QUERY_PROVE] == '0' and width > 0 and width < 1000 then
    local id = call('HGET', KEYS[tonumber(ARGV[tree_at + 1])], ARGV[tree_at + 2])
    if not id then
      return {'', 0, {}}
    end
    local fields = {unpack(ARGV, $QUERY_SIZE + 1, $QUERY_SIZE + width)}
    return {'', 0, {id, call('HMGET', ARGV[$QUERY_RECORDS] .. id, unpack(fields))}}
  end
end
