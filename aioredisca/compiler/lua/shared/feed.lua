-- needs: call, CLASSES
-- gives: feed_ready, tell, tell_collection
-- The feeds of classes that have one: an entry for each change of a record, added by the script that makes it.
--
-- base/f  stream: an entry has the kind k (c created, u updated, d deleted, e ended), the id i, and for each field that
--         changed its name behind = with the new value, behind - without one where it holds none now, behind ? without it
--         where it is secret; of a collection that changed the name behind @

local feeds = {} -- base of the keys -> how many entries stay at least
for _, class in ipairs(CLASSES) do
  feeds[string.sub(KEYS[class.meta], 1, -6)] = class.feed
end

-- Before anything is written: whether entries may be added. Changes nothing, for base/- is never there.
local function feed_ready(base)
  call('XLEN', base .. '/f')
  call('XADD', base .. '/-', 'NOMKSTREAM', '*', '-', '-')
end

local function tell(base, kind, id, fields)
  if feeds[base] then
    call('XADD', base .. '/f', 'MAXLEN', '~', feeds[base], '*', 'k', kind, 'i', id, unpack(fields))
  end
end

-- A change of the collection that has this key.
local function tell_collection(key)
  for base in pairs(feeds) do
    local stem = base .. '/l/'
    if string.sub(key, 1, #stem) == stem then
      local name, id = string.match(string.sub(key, #stem + 1), '^([^/]*)/(.*)$')
      tell(base, 'u', id, {'@' .. name, ''})
    end
  end
end
