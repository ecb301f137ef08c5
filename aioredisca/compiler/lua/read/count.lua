-- needs: call, estimate, may_join, size, EVERY, sum_of_sizes, cursor, tree, drivers, drive, BUDGET,
--   by_flags, keep, KINDS
-- gives:
-- Counting.

local function all_sets(node)
  for _, child in ipairs(node) do
    if child.kind ~= 'S' or child.negated then
      return false
    end
  end
  return true
end

local function count_joint(keys)
  local reply = redis.pcall('SINTERCARD', #keys, unpack(keys))
  if type(reply) == 'number' then
    return reply
  end
  return #call('SINTER', unpack(keys)) -- before Redis 7
end

-- The number that indexes know without a walk, or nil.
local function known_count(node)
  if not node.op then
    return node.kind ~= '?' and estimate(node) or nil
  elseif node.op == '&' then
    return node.joint and all_sets(node) and may_join(node) and count_joint(node.joint.keys) or nil
  elseif node.op == '+' then
    return node.negated and size(EVERY) - sum_of_sizes(node) or sum_of_sizes(node)
  end
end

-- How many of *ids*, which are over, indexes take for matches, or nil where they do not tell: nothing else of them is left.
local function stands_in(node, ids)
  if node.op == '+' then
    local found = 0
    for _, leaf in ipairs(node) do
      if leaf.kind ~= 'S' and leaf.kind ~= 'Z' then
        return nil
      end
      found = found + #by_flags(ids, KINDS[leaf.kind].holds(leaf, ids), true)
    end
    return node.negated and #ids - found or found
  end
  return node.kind ~= 'L' and #keep(node, ids)
end

-- The number without those that are over, if these are not too many to be looked at one by one.
local function known_living()
  local part, over = tree[1], tree.op == '&' and #tree == 2 and tree[2]
  if not over or over.kind ~= 'D' then
    return known_count(tree)
  end
  if part.kind == 'A' and not part.negated then -- all that end are among all
    return size(part) - size(over)
  end
  local all = size(over) <= BUDGET and known_count(part)
  local dead = all and stands_in(part, KINDS.D.all(over))
  return dead and all - dead
end

local function count()
  local sure = cursor == '' and known_living()
  if sure then
    return {'', 0, sure}
  end
  local found = 0
  local list, number, place = drivers()
  local mark = drive(list, number, place, BUDGET, function(ids)
    found = found + #ids
    return false
  end)
  return {mark, 0, found}
end

return count()
