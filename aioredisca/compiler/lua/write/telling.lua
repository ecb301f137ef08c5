-- needs: groups, feed_ready
-- gives:
-- Of classes with a feed, before anything is written: whether the change can be told.

local asked = {}
for _, g in ipairs(groups) do
  local class = g.class
  if class.feed and not asked[class] and g.mode ~= 'i' then
    asked[class] = true
    feed_ready(class.base)
  end
end
