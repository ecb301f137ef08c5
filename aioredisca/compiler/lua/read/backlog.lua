-- needs: way_of_order, tree, size, cover, BUDGET
-- gives: way_of_order
-- Of classes whose records end: where many are over, nobody knows how many of those that an index names, and an order
-- may be walked in vain for long. What can be gathered in one step is.

local usual_way = way_of_order

local function way_of_order()
  local way, list = usual_way()
  local over = tree.op == '&' and tree[#tree]
  if way == 'walk' and over and over.kind == 'D' and size(over) > BUDGET then
    local drivers, _, candidates = cover(tree)
    if candidates <= BUDGET then
      return 'gather', drivers
    end
  end
  return way, list
end
