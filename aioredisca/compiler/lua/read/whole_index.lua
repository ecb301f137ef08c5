-- needs: call, tree_at
-- gives:
-- One whole index of at most a page, without an order: SORT_RO fetches it as it is, and nothing of what the
-- other parts of this script define is needed. See leaves.lua for KEYS, ARGV and the reply.

do
  -- The first rank and the number of entries of a set, or of a range of a sorted set.
  local function extent(key, low, high)
    if not low then
      return 0, call('SCARD', key)
    end
    local count = call('ZCOUNT', key, low, high)
    return low ~= '-inf' and count > 0 and call('ZCARD', key) - call('ZCOUNT', key, low, '+inf') or 0, count
  end

  local width, kind, anew = tonumber(ARGV[$QUERY_WIDTH]), ARGV[tree_at], ARGV[$QUERY_CURSOR] == ''
  local sorts, proved = ARGV[$QUERY_MAY_SORT] == '1', ARGV[$QUERY_PROVE] == '1'
  if (kind == 'S' or kind == 'Z') and anew and sorts and not proved and width > 0 and width < 1000 then
    local key = KEYS[tonumber(ARGV[tree_at + 1])]
    local first, count = extent(key, kind == 'Z' and ARGV[tree_at + 2], ARGV[tree_at + 3])
    if count == 0 then
      return {'', 0, {}}
    elseif count <= tonumber(ARGV[$QUERY_PAGE]) then
      local gets = {'GET', '#'}
      for i = $QUERY_SIZE + 1, $QUERY_SIZE + width do
        gets[#gets + 1] = 'GET'
        gets[#gets + 1] = ARGV[$QUERY_RECORDS] .. '*->' .. ARGV[i]
      end
      -- Handed on as it is: to copy it here would take as long as to fetch it.
      return {'', 0, {call('SORT_RO', key, 'BY', 'nosort', 'LIMIT', first, count, unpack(gets))}}
    end
  end
end
