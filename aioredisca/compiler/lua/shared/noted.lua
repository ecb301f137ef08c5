-- needs: call, joined, sortable, elements
-- gives: note_down
-- Notes what stands of a record in indexes, for when it is over.

-- What stands of a record in the indexes of its class, for bury() of over.lua. *values*: field -> what it holds now.
local function noted(class, base, id, values)
  local note = {}
  local function add(kind, key, member)
    note[#note + 1] = kind .. #key .. ':' .. key .. (member and #member .. ':' .. member or '')
  end
  for _, one in ipairs(class.entries()) do
    local kind, field, second = one[1], one[2], one[3]
    local value = values[field]
    if kind == 'together' then
      local all = {}
      for n = 2, #one do
        all[n - 1] = values[one[n]]
      end
      value = joined(all, #one - 1)
      field = table.concat(one, '/', 2)
    end
    if kind == 'none' then
      if not value then
        add('s', 'n/' .. field)
      end
    elseif not value then
      value = nil
    elseif kind == 'unique' or kind == 'together' then
      add('u', 'u/' .. field, value)
    elseif kind == 'range' then
      add('z', 'r/' .. field)
    elseif kind == 'sorted' then
      add('m', 's/' .. field, sortable(value) .. '\0' .. id)
    elseif kind == 'tags' then
      for element in pairs(elements(value)) do
        add('s', 'x/' .. field .. '/' .. element)
      end
    elseif kind == 'pair' then
      if values[second] then
        add('z', 'c/' .. field .. '/' .. second .. '/' .. value)
      end
    elseif #value <= $LONG_VALUE then
      add('s', 'x/' .. field .. '/' .. value)
    else
      local digest = call('HGET', base .. '/h/' .. field, id)
      add('s', 'y/' .. field .. '/' .. (digest or ''))
      add('h', 'h/' .. field)
    end
  end
  return table.concat(note)
end

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

local function note_down(class, base, key, id)
  local note = noted(class, base, id, read_tracked(class, key))
  if note ~= '' then
    call('HSET', base .. '/t/n', id, note)
  end
end
