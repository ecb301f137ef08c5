-- needs: after_key, tell_collection
-- gives:
-- Behind after.lua, of classes with a feed: which collections it has changed.

local last = nil
for n = tonumber(ARGV[#ARGV]) + 1, after_key do
  if KEYS[n] ~= last then
    tell_collection(KEYS[n])
  end
  last = KEYS[n]
end
