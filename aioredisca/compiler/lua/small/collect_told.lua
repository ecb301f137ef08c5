-- needs: collect, feed_ready, tell_collection
-- gives:
-- Behind collect.lua, of classes with a feed. Commands that answer nothing have found nothing to change.
--
-- KEYS   those of collect.lua, the feed

feed_ready(string.sub(KEYS[1], 1, -6))
local reply, changed = collect(), false
for _, answer in ipairs(reply[1] == 'OK' and reply[2] or {}) do
  changed = changed or answer
end
if changed then
  tell_collection(KEYS[3])
end
return reply
