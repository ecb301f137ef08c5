-- needs: call, joined, sortable, elements
-- gives: noted, read_tracked
-- What stands of a record in indexes, noted for when it is over.

local PLACES = { -- how bury() of over.lua takes an entry away, and where it stands
  unique = {'u', 'u/'}, together = {'u', 'u/'}, none = {'s', 'n/'}, range = {'z', 'r/'}, sorted = {'m', 's/'},
}

local function told(text)
  return #text .. ':' .. text
end

-- The indexes of a class, each with what a note says of its key, where that is the same for all values.
local function indexes_of(class)
  if not class.indexes then
    class.indexes = class.entries()
    for _, one in ipairs(class.indexes) do
      local place = PLACES[one[1]]
      one.head = place and place[1] .. told(place[2] .. table.concat(one, '/', 2))
    end
  end
  return class.indexes
end

local function together(one, values)
  local all = {}
  for n = 2, #one do
    all[n - 1] = values[one[n]]
  end
  return joined(all, #one - 1)
end

-- The note of a record. *values*: field -> what it holds now.
local function noted(class, id, values)
  local note = {}
  for _, one in ipairs(indexes_of(class)) do
    local kind, field, second, head = one[1], one[2], one[3], one.head
    local value = values[field]
    if kind == 'together' then
      value = together(one, values)
    end
    if kind == 'none' then
      note[#note + 1] = not value and head or nil
    elseif not value then
      value = nil
    elseif kind == 'unique' or kind == 'together' then
      note[#note + 1] = head .. told(value)
    elseif kind == 'range' then
      note[#note + 1] = head
    elseif kind == 'sorted' then
      note[#note + 1] = head .. told(sortable(value) .. '\0' .. id)
    elseif kind == 'tags' then
      for element in pairs(elements(value)) do
        note[#note + 1] = 's' .. told('x/' .. field .. '/' .. element)
      end
    elseif kind == 'pair' then
      note[#note + 1] = values[second] and 'z' .. told('c/' .. field .. '/' .. second .. '/' .. value) or nil
    elseif #value <= $LONG_VALUE then
      note[#note + 1] = 's' .. told('x/' .. field .. '/' .. value)
    else
      local digest = call('HGET', class.base .. '/h/' .. field, id)
      note[#note + 1] = 's' .. told('y/' .. field .. '/' .. (digest or ''))
      note[#note + 1] = 'h' .. told('h/' .. field)
    end
  end
  return table.concat(note)
end

-- What a record holds in the fields that indexes know.
local function read_tracked(class, key)
  local names, values = class.tracked(), {}
  for first = 1, #names, 1000 do
    local some = call('HMGET', key, unpack(names, first, math.min(first + 999, #names)))
    for n, value in ipairs(some) do
      values[names[first + n - 1]] = value
    end
  end
  return values
end
