-- needs: call, now
-- gives: tree_at
-- Where in ARGV the tree begins, of a class whose records end: that of those that are not over, which is the whole of
-- it where nobody is, as mostly, and where no moment is asked for, which stands first then and takes all parts.

local tree_at = $QUERY_SIZE + tonumber(ARGV[$QUERY_WIDTH]) + $ORDER_SIZE + 1
if ARGV[$QUERY_SIZE + 1] ~= $MOMENT and ARGV[tree_at] == '&' and ARGV[tree_at + 1] == '2' and ARGV[#ARGV - 1] == '!D'
  and call('ZCOUNT', KEYS[tonumber(ARGV[#ARGV])], '-inf', '(' .. now) == 0 then
  tree_at = tree_at + 2
end
