-- needs: call, FIXED, adds, tell_collection
-- gives:
-- Behind added.lua, of classes with a feed: which collections it has added to.

local told_adds = {}
for _, one in ipairs(adds) do
  if not told_adds[one.key] and call('EXISTS', KEYS[FIXED + one.record]) == 1 then
    told_adds[one.key] = true
    tell_collection(one.key)
  end
end
