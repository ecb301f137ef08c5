-- needs: call, records, keep, less, elements, CONDITION
-- gives: keep
-- Whoever is chosen is changed at once, so here a condition is judged by what the record itself holds: what an index
-- says is a hint.
--
-- CONDITION   number of ids that are not to be chosen, these, number of hash fields, these, then in prefix notation:
--             & n part ..  | n part ..  ! part, or a test of one field, which is named by its number:
--             = value   + n value .. (one of them)   0 (no value)   n low high (as ZCOUNT takes them)
--             t low high ('[' or '(' and the text, or nothing)   ^ beginning   # element

local at = 0
local function next_token()
  at = at + 1
  return CONDITION[at]
end

local function next_list()
  local list = {}
  for i = 1, tonumber(next_token()) do
    list[i] = next_token()
  end
  return list
end

-- A bound of numbers: the number, and whether it is itself left out.
local function number_bound(text)
  local out = string.sub(text, 1, 1) == '('
  text = out and string.sub(text, 2) or text
  if text == '-inf' or text == '+inf' then
    return text == '-inf' and -math.huge or math.huge, false
  end
  return tonumber(text), out
end

local TESTS = {
  ['='] = function()
    local wanted = next_token()
    return function(value) return value == wanted end
  end,
  ['+'] = function()
    local wanted = {}
    for _, value in ipairs(next_list()) do
      wanted[value] = true
    end
    return function(value) return value and wanted[value] or false end
  end,
  ['0'] = function()
    return function(value) return not value end
  end,
  n = function()
    local low, without_low = number_bound(next_token())
    local high, without_high = number_bound(next_token())
    return function(value)
      local number = value and string.find(value, '^-?%d') and tonumber(value)
      if not number or number < low or number > high then
        return false
      end
      return not (without_low and number == low or without_high and number == high)
    end
  end,
  t = function()
    local low, high = next_token(), next_token()
    local from, to = string.sub(low, 2), string.sub(high, 2)
    local without_low, without_high = string.sub(low, 1, 1) == '(', string.sub(high, 1, 1) == '('
    return function(value)
      if not value or (low ~= '' and less(value, from)) or (high ~= '' and less(to, value)) then
        return false
      end
      return not (without_low and value == from or without_high and value == to)
    end
  end,
  ['^'] = function()
    local beginning = next_token()
    return function(value) return value and string.sub(value, 1, #beginning) == beginning end
  end,
  ['#'] = function()
    local element = next_token()
    return function(value) return value and elements(value)[element] or false end
  end,
}

local function next_condition()
  local kind = next_token()
  if kind == '!' then
    local part = next_condition()
    return function(values) return not part(values) end
  elseif kind ~= '&' and kind ~= '|' then
    local place = tonumber(next_token())
    local holds = TESTS[kind]()
    return function(values) return holds(values[place]) end
  end
  local parts, either = {}, kind == '|'
  for i = 1, tonumber(next_token()) do
    parts[i] = next_condition()
  end
  return function(values)
    for i = 1, #parts do
      if (parts[i](values) and true or false) == either then
        return either
      end
    end
    return not either
  end
end

local left_out = {}
for _, id in ipairs(next_list()) do
  left_out[id] = true
end
local judged = next_list()
local meets = next_condition()

local function is_chosen(id)
  local key, values, there = records .. id, {}, false
  if left_out[id] then
    return false
  elseif #judged > 0 then
    values = call('HMGET', key, unpack(judged))
  end
  for i = 1, #judged do
    there = there or values[i]
  end
  return meets(values) and (there or call('EXISTS', key) == 1)
end

-- From here on it is the whole tree that is asked for.
local keep_by_indexes = keep
local function keep(node, ids)
  local chosen = {}
  for _, id in ipairs(keep_by_indexes(node, ids)) do
    if is_chosen(id) then
      chosen[#chosen + 1] = id
    end
  end
  return chosen
end
