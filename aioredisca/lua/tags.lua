-- Indexes of sets of strings, stored as JSON: a set of ids per element.

local function elements(stored)
  local readable, list = pcall(cjson.decode, stored or '[]')
  local found = {}
  for _, element in ipairs(readable and type(list) == 'table' and list or {}) do
    if type(element) == 'string' then
      found[element] = true
    end
  end
  return found
end

local function queue_elements(r, index, command, wanted, but)
  local stem = string.sub(KEYS[r.class.meta], 1, -5) .. 'x/' .. index.field .. '/'
  for element in pairs(wanted) do
    if not but[element] then
      queue(command, stem .. element, r.id)
    end
  end
end

LEAVE.tags = function(r, index, change)
  queue_elements(r, index, 'SREM', elements(change.before), elements(change.after))
end

ENTER.tags = function(r, index, change)
  queue_elements(r, index, 'SADD', elements(change.after), r.mode == 'i' and {} or elements(change.before))
end
