-- needs: cover, tree, order, way_of_order, floor, estimate, IDS, size
-- gives:
-- How it would be done.

local function plan()
  local way, list = 'drive', cover(tree)
  if order ~= 'none' then
    way = way_of_order()
  end
  local reply = {way, floor(estimate(tree) + 0.5)}
  for _, leaf in ipairs(list) do
    reply[#reply + 1] = leaf.kind
    reply[#reply + 1] = leaf.key or leaf.keys and table.concat(leaf.keys, ' ') or IDS
    reply[#reply + 1] = size(leaf)
  end
  return {'', 0, reply}
end

return plan()
