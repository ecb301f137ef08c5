-- needs: KINDS, take, take_number, size, TABLE, BUDGET, max, min, floor, STEP, call, records
-- gives: EVERY, leaves, tree, sum_of_sizes, estimate, may_join, cover, driver, given, set_driver, by_flags,
--   keep
-- The tree of conditions: parsed, estimated, covered by the leaves to walk, and tested.

local EVERY = {kind = 'A', number = 0}
local leaves = {[0] = EVERY}

local function number_leaf(leaf)
  leaf.number = #leaves + 1
  leaves[leaf.number] = leaf
  return leaf
end

local function parse_leaf(token)
  local leaf = {negated = string.sub(token, 1, 1) == '!', kind = string.sub(token, -1)}
  KINDS[leaf.kind].read(leaf)
  return number_leaf(leaf)
end

-- The sets of an AND together, as one more leaf to drive by.
local function join_sets(node)
  local keys = {}
  for _, child in ipairs(node) do
    if child.kind == 'S' and not child.negated then
      keys[#keys + 1] = child.key
    end
  end
  if #keys > 1 then
    node.joint = number_leaf({kind = 'I', keys = keys, negated = false, parent = node})
  end
end

local function parse()
  local token = take()
  local op = string.sub(token, -1)
  if op ~= '&' and op ~= '|' and op ~= '+' then
    return parse_leaf(token)
  end
  local node, count = {op = op, negated = token == '!+', flat = op ~= '&'}, take_number()
  if op == '+' then
    node.field, node.values = take(), {}
    for i = 1, take_number() do
      node.values[take()] = true
    end
  end
  for i = 1, count do
    local child = parse()
    node[i], child.parent, child.place = child, node, i
    node.flat = node.flat and not child.op and not child.negated and KINDS[child.kind].all ~= nil
  end
  if op == '&' then
    join_sets(node)
  end
  return node
end

local tree = parse()
local over = tree.op == '&' and tree[#tree] or tree
if over.kind == 'D' and size(over) == 0 then -- as mostly: then it leaves out nobody
  tree[#tree] = nil
  if #tree == 1 then
    tree = tree[1]
    tree.parent = nil
  end
end

local function sum_of_sizes(node)
  if not node.sum then
    node.sum = 0
    for _, child in ipairs(node) do
      node.sum = node.sum + size(child)
    end
  end
  return node.sum
end

-- Whether an OR is tested by one table of all that it holds: where that is not too much to make.
local function has_table(node)
  return node.flat and #node > 8 and sum_of_sizes(node) <= TABLE
end

local function test_cost(node)
  if not node.op then
    return KINDS[node.kind].test
  elseif node.values or has_table(node) then
    return 1
  end
  local cost = 0
  for _, child in ipairs(node) do
    cost = cost + test_cost(child)
  end
  return cost
end

-- A tree that takes longer per id examines fewer of them in one call. What drives an OR of leaves need not be
-- tested.
BUDGET = max(100, min(BUDGET, floor(4000 / max(1, tree.flat and 1 or test_cost(tree)))))
STEP = min(STEP, floor(BUDGET / 4))

-- About how many ids match, as if the conditions had nothing to do with each other.
local function estimate(node)
  if node.estimate then
    return node.estimate
  end
  local total, found = size(EVERY), nil
  if not node.op then
    found = node.negated and total - size(node) or size(node)
  elseif node.op == '&' then
    found = total
    for _, child in ipairs(node) do
      found = total > 0 and found * estimate(child) / total or 0
    end
  elseif node.negated then
    found = total - sum_of_sizes(node)
  else
    found = 0
    for _, child in ipairs(node) do
      found = found + estimate(child)
    end
  end
  node.estimate = max(0, min(total, found))
  return node.estimate
end

-- The children of an AND, those first that throw out most for their price.
local function by_worth(node)
  if not node.sorted then
    local total = max(1, size(EVERY))
    node.sorted = {}
    for i, child in ipairs(node) do
      child.worth = (estimate(child) / total - 1) / test_cost(child)
      node.sorted[i] = child
    end
    table.sort(node.sorted, function(a, b)
      return a.worth < b.worth
    end)
  end
  return node.sorted
end

-- What it costs to test *count* ids by the children of an AND but *left_out*.
local function rest_cost(node, count, left_out)
  local total, cost = max(1, size(EVERY)), 0
  for _, child in ipairs(by_worth(node)) do
    if child ~= left_out and not (left_out == node.joint and child.kind == 'S' and not child.negated) then
      cost = cost + count * test_cost(child)
      count = count * estimate(child) / total
    end
  end
  return cost
end

-- Whether the server may intersect the sets of an AND at once: it probes each id of the smallest.
local function may_join(node)
  local smallest = math.huge
  for _, child in ipairs(node) do
    if child.kind == 'S' and not child.negated then
      smallest = min(smallest, size(child))
    end
  end
  return smallest * #node.joint.keys <= 10 * BUDGET
end

local function small_joint(node)
  return may_join(node) and size(node.joint) <= BUDGET
end

-- The leaves to walk so that nothing which matches *node* is missed; what that costs; how many ids they yield.
local function cover(node)
  if not node.op or node.negated then
    local leaf = (node.negated or node.kind == '?') and EVERY or node
    return {leaf}, size(leaf) * KINDS[leaf.kind].enumerate, size(leaf)
  end
  local found, cost, count
  if node.op == '&' then
    for i = 1, min(#node, 32) do -- of many only the best, lest the choice take longer than the walk
      local child = by_worth(node)[i]
      local some, price, ids = cover(child)
      price = price + rest_cost(node, ids, not child.negated and child) -- what is negated is tested all the same
      if not found or price < cost then
        found, cost, count = some, price, ids
      end
    end
    if node.joint and count > 0 and small_joint(node) then
      local ids = size(node.joint)
      local price = ids * KINDS.I.enumerate + rest_cost(node, ids, node.joint)
      if price < cost then
        found, cost, count = {node.joint}, price, ids
      end
    end
    return found, cost, count
  end
  found, cost, count = {}, 0, 0
  for _, child in ipairs(node) do
    local some, price, ids = cover(child)
    if some[1] == EVERY then
      return some, price, ids
    end
    for _, leaf in ipairs(some) do
      found[#found + 1] = leaf
    end
    cost, count = cost + price, count + ids
  end
  if count > 2 * size(EVERY) then
    return {EVERY}, size(EVERY) * KINDS.A.enumerate, size(EVERY)
  end
  return found, cost, count
end

-- testing ids -------------------------------------------------------------------------------------

local driver, path = nil, {} -- what is walked now; for each node above it, the child that it stands in
local given -- a leaf that all ids which are walked now meet as well

local function set_driver(leaf)
  if leaf == driver then
    return
  end
  driver, path = leaf, {}
  while leaf.parent do
    path[leaf.parent], leaf = leaf, leaf.parent
  end
end

local function known(node)
  return node.kind == '?' or ((node == driver or node == given) and not node.negated)
end

local function by_flags(ids, flags, wanted)
  local kept = {}
  for i = 1, #ids do
    if flags[i] == wanted then
      kept[#kept + 1] = ids[i]
    end
  end
  return kept
end

local keep

-- Adds to *matched* those of *ids* that match *child*. -> the others
local function strike(child, ids, matched)
  local hits, left = keep(child, ids), {}
  for i = 1, #hits do
    matched[hits[i]] = true
  end
  for i = 1, #ids do
    if not matched[ids[i]] then
      left[#left + 1] = ids[i]
    end
  end
  return left
end

local function table_of(node)
  local inside = {}
  for _, child in ipairs(node) do
    for _, id in ipairs(KINDS[child.kind].all(child)) do
      inside[id] = true
    end
  end
  return inside
end

-- Those of *ids* that hold one of the values of a list.
local function holders(node, ids)
  local matched = {}
  for i = 1, #ids do
    local value = call('HGET', records .. ids[i], node.field)
    matched[ids[i]] = value and node.values[value]
  end
  return matched
end

-- A table of those of *ids* that match an OR, and maybe of others. Each child is asked only about what no
-- earlier one matched; the one that the driver stands in, which most match, comes first.
local function matches_of(node, ids)
  local first = path[node]
  if not first and node.values then
    return holders(node, ids)
  elseif not first and has_table(node) then
    node.inside = node.inside or table_of(node)
    return node.inside
  end
  local matched, rest = {}, ids
  if first then
    rest = strike(first, rest, matched)
  end
  for _, child in ipairs(node) do
    if #rest == 0 then
      break
    elseif child ~= first then
      rest = strike(child, rest, matched)
    end
  end
  return matched
end

local function keep_any(node, ids)
  if path[node] and path[node] == driver and known(driver) and not node.negated then
    return ids
  end
  local matched, kept = matches_of(node, ids), {}
  for i = 1, #ids do
    if (matched[ids[i]] or false) ~= node.negated then
      kept[#kept + 1] = ids[i]
    end
  end
  return kept
end

-- Those of *ids* that match *node*, in the same order.
keep = function(node, ids)
  if #ids == 0 or (not node.op and known(node)) then
    return ids
  elseif not node.op then
    return by_flags(ids, KINDS[node.kind].holds(node, ids), not node.negated)
  elseif node.op ~= '&' then
    return keep_any(node, ids)
  end
  for _, child in ipairs(by_worth(node)) do
    if not (driver == node.joint and child.kind == 'S' and not child.negated) then
      ids = keep(child, ids)
    end
  end
  return ids
end
