-- needs: call, groups
-- gives: touched, waiting
-- class.list = the groups whose indexes change

local touched, waiting = false, {} -- waiting: what indexes.lua has to do once the hashes are written
for _, g in ipairs(groups) do
  if g.class.permitted == 'm' then -- before anything is written: see permit.lua
    for _, id in ipairs(g.ids) do
      call('ZADD', g.class.base .. '/d', 'INCR', '1', id)
    end
  end
  if not g.passed and (g.indexed or g.mode ~= 'u') then
    local class = g.class
    touched, class.list = true, class.list or {}
    class.list[#class.list + 1] = g
  end
end
