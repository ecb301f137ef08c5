-- needs: groups
-- gives: touched, waiting
-- class.list = the groups whose indexes change

local touched, waiting = false, {} -- waiting: what indexes.lua has to do once the hashes are written
for _, g in ipairs(groups) do
  if not g.passed and (g.indexed or g.mode ~= 'u') then
    local class = g.class
    touched, class.list = true, class.list or {}
    class.list[#class.list + 1] = g
  end
end
