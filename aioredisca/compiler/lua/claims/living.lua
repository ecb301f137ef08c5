-- needs:
-- gives: buried
-- Records never end.

local function buried()
  return false
end
