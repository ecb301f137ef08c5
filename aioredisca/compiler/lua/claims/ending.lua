-- needs: is_over, bury
-- gives: buried
-- Records may end: what is left of one that is over goes before anything is decided by it.

local function buried(base, key, id, collections)
  if is_over(base, key, id) then
    bury(base, id, collections)
    return true
  end
  return false
end
