-- needs: call, clock, now, bury, joined, sortable, elements
-- gives: set_end
-- The end of a record that was just written.

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

-- When a record that is written now ends; nothing for one that lives on. Whoever gave its key another end is heard.
local function wanted_end(ends, existed, key, moment)
  local how, number = string.sub(ends, 1, 1), tonumber(string.sub(ends, 2))
  if how == 'a' then
    return number
  elseif number and (how == 'r' or not existed) then
    return now + number
  elseif how == 'p' or not existed then
    return nil
  end
  local left = call('PTTL', key)
  if left < 0 then
    return nil
  end
  local unchanged = moment and moment - now - left >= -50 and (moment - now - left <= 50 or moment - clock() - left <= 50)
  return unchanged and moment or now + left -- of a slow script the time goes on
end

-- Gives the record its end. *ends*: '' as it was, p none, r and milliseconds from now on, n the same for a new record,
-- a and a moment. *moment*: its end so far. *changed*: whether indexes may know it by something else than before.
local function set_end(class, base, key, id, ends, existed, moment, changed)
  local moments = base .. '/t'
  local wanted = wanted_end(ends, existed, key, moment)
  if not wanted then
    if moment or existed and ends ~= '' then
      call('PERSIST', key)
      call('ZREM', moments, id)
      call('HDEL', moments .. '/n', id)
    end
    return
  end
  if changed or not moment then
    local note = noted(class, base, id, read_tracked(class, key))
    if note ~= '' then
      call('HSET', moments .. '/n', id, note)
    end
  end
  if wanted ~= moment then
    local text = string.format('%.0f', wanted)
    call('ZADD', moments, text, id)
    call('PEXPIREAT', key, text)
    if wanted - now < 100 and call('EXISTS', key) == 0 then -- that moment is past: the key went at once
      bury(base, id, class.collections)
    end
  end
end
