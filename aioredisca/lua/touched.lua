-- class -> the groups whose indexes change

local touched = {}
for _, g in ipairs(groups) do
  if not g.passed and (g.indexed or g.mode ~= 'u' and g.mode ~= 'n') then
    touched[g.class] = touched[g.class] or {}
    table.insert(touched[g.class], g)
  end
end
