-- needs: call, estimate, may_join, size, EVERY, sum_of_sizes, cursor, tree, drivers, drive, BUDGET, keep, KINDS
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

-- The same without those that are over, if these are not too many to be looked at one by one.
local function known_living()
  local part, dead = tree[1], tree.op == '&' and #tree == 2 and tree[2]
  if not dead or dead.kind ~= 'D' then
    return known_count(tree)
  elseif size(dead) > BUDGET then
    return nil
  end
  local all = known_count(part)
  return all and all - #keep(part, KINDS.D.all(dead))
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
