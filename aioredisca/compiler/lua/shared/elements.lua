-- needs:
-- gives: elements
-- The strings in a field of tags, which is stored as JSON.

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
