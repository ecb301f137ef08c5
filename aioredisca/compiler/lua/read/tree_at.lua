-- needs:
-- gives: tree_at
-- Where in ARGV the tree begins.

local tree_at = $QUERY_SIZE + tonumber(ARGV[$QUERY_WIDTH]) + $ORDER_SIZE + 1
