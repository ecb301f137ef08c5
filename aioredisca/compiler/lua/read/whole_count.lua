-- needs: call, tree_at
-- gives:
-- The number of one whole index, of a class whose records end: where none is over that is one command, too.

do
  -- A count that has begun goes on where it stopped, though what was over meanwhile went.
  local kind, key = ARGV[$QUERY_CURSOR] == '' and ARGV[tree_at], KEYS[tonumber(ARGV[tree_at + 1])]
  if kind == 'A' then
    return {'', 0, call('ZCARD', KEYS[1])}
  elseif kind == 'S' then
    return {'', 0, call('SCARD', key)}
  elseif kind == 'Z' or kind == 'M' then
    return {'', 0, call('ZCOUNT', key, ARGV[tree_at + 2], ARGV[tree_at + 3])}
  end
end
