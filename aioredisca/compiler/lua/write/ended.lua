-- needs: CLASSES, groups, end_of, sweep
-- gives:
-- When all else is written: the ends of the records. Then every write takes away what is left of two records that are
-- over, which is more than it can add.

for _, g in ipairs(groups) do
  for i = 1, g.class.entries and not g.passed and g.count or 0 do
    end_of(g, i, g.key or KEYS[g.key_at + i])
  end
end

for _, class in ipairs(CLASSES) do
  if class.entries then
    sweep(class.base, 2, class.collections)
  end
end
