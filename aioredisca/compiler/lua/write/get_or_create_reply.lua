-- needs: call, refused, SLICE, min, at, fresh, holder, holder_key
-- gives:
-- The reply of get_or_create_pick.lua.

if refused then
  return refused
elseif not holder then
  return {'OK', 1, fresh.ids[1]}
end
local found = {'OK', 0, holder}
for first = at + 1, #ARGV, SLICE do
  for _, value in ipairs(call('HMGET', holder_key, unpack(ARGV, first, min(first + SLICE - 1, #ARGV)))) do
    found[#found + 1] = value
  end
end
return found
