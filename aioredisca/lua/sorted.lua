-- Indexes of text by its bytes: the member is the value, NUL and the id, so that NUL must not stand in it.

local function sorted_member(r, value)
  local free = string.gsub(string.gsub(value, '\1', '\1\2'), '%z', '\1\1')
  return free .. '\0' .. r.id
end

LEAVE.sorted = function(r, index, change)
  queue('ZREM', KEYS[index.sorted], sorted_member(r, change.before))
end

ENTER.sorted = function(r, index, change)
  queue('ZADD', KEYS[index.sorted], '0', sorted_member(r, change.after))
end
