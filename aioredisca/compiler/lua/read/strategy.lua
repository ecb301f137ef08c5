-- needs: limit, page, min, order, tree, order_key, implied_key, size, EVERY, call, offset, cover, max,
--   estimate, BUDGET
-- gives: room, range_of_order, implied_by_order, way_of_order
-- How an order is kept: by walking its index, or by sorting what matches.

-- How many rows this call may still yield.
local function room()
  return limit < 0 and page or min(limit, page)
end

-- The range in the tree that is about the order itself: it narrows the walk.
local function range_of_order()
  if order == 'id' then
    return
  end
  for _, leaf in ipairs(tree.op == '&' and tree or {tree}) do
    if (leaf.kind == 'Z' or leaf.kind == 'L') and not leaf.negated and leaf.key == order_key then
      return leaf
    end
  end
end

-- The condition that all entries of the index of the order meet.
local function implied_by_order()
  for _, leaf in ipairs(tree.op == '&' and tree or {tree}) do
    if leaf.kind == 'S' and not leaf.negated and leaf.key == implied_key then
      return leaf
    end
  end
end

-- Whether to walk the index of the order, to gather what matches and sort it, or neither.
local function way_of_order()
  local leaf = range_of_order()
  if not tree.op and not tree.negated and (tree.kind == 'A' or tree == leaf) then
    return 'walk'
  end
  local entries = leaf and size(leaf) or order == 'id' and size(EVERY) or call('ZCARD', order_key)
  if tree == implied_by_order() and offset + room() <= entries then
    return 'walk'
  end
  local list, _, candidates = cover(tree)
  local matches = max(1, min(entries, estimate(tree)))
  local walked = min(entries, (offset + room()) * 1.5 * entries / matches)
  if candidates <= BUDGET and 3 * candidates <= walked then
    return 'gather', list
  elseif walked <= max(BUDGET, 5 * candidates) then
    return 'walk'
  end
  return candidates <= BUDGET and 'gather' or 'ask', list
end
