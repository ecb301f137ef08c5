-- needs: elements, min, RULES
-- gives:
-- What records must meet as they are stored, whether they are written or not.
--
-- ARGV   behind the names of a group, per requirement: how many tokens it has, then these, in prefix notation:
--        & n part ..  | n part ..  ! part
--        = field n value ..   one of these     ? field   no value    ^ field prefix   @ field element
--        # field low high     a number, and    < field low high   a text: a bound is '' (open), or [ (itself included) or
--        ( before it

local place, old, looked_at

local function take()
  place = place + 1
  return ARGV[place]
end

-- A decimal number as sign, digits before the point without leading zeros, and behind it without trailing ones.
local function decimal(text)
  local sign, whole, fraction = string.match(text, '^(-?)(%d+)%.?(%d*)$')
  if whole then
    whole, fraction = string.gsub(whole, '^0+', ''), string.gsub(fraction, '0+$', '')
    return #whole + #fraction > 0 and sign or '', whole, fraction
  end
end

-- -1, 0 or 1. Plain numbers of any size are compared by their digits; those of a Float may have an exponent.
local function compare_numbers(a, b)
  local sign, whole, fraction = decimal(a)
  local other_sign, other_whole, other_fraction = decimal(b)
  if not (whole and other_whole) then
    a, b = tonumber(a), tonumber(b)
    return a and (a < b and -1 or a > b and 1 or 0)
  elseif sign ~= other_sign then
    return sign == '-' and -1 or 1
  end
  local side = sign == '-' and -1 or 1
  if #whole ~= #other_whole then
    return #whole < #other_whole and -side or side
  end
  a, b = whole .. fraction, other_whole .. other_fraction
  return a == b and 0 or a < b and -side or side
end

local function compare_bytes(a, b)
  for i = 1, min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then
      return x < y and -1 or 1
    end
  end
  return #a < #b and -1 or #a > #b and 1 or 0
end

-- Whether *value* lies on the right side of a bound, -1 of the lower one.
local function within(value, bound, side, compare)
  if bound == '' then
    return true
  end
  local order = compare(value, string.sub(bound, 2))
  return order == -side or order == 0 and string.sub(bound, 1, 1) == '['
end

local function between(value, compare)
  local low, high = take(), take()
  return value and within(value, low, -1, compare) and within(value, high, 1, compare)
end

local LEAVES = {
  ['?'] = function(value) return not value end,
  ['#'] = function(value) return between(value, compare_numbers) end,
  ['<'] = function(value) return between(value, compare_bytes) end,
  ['^'] = function(value)
    local prefix = take()
    return value and string.sub(value, 1, #prefix) == prefix
  end,
  ['@'] = function(value)
    local element = take()
    return value and elements(value)[element]
  end,
  ['='] = function(value)
    local equal = false
    for _ = 1, tonumber(take()) do
      equal = take() == value or equal
    end
    return equal
  end,
}

-- All tokens are taken, whatever is known already: the next one is to be found.
local function meets()
  local kind = take()
  if kind == '!' then
    return not meets()
  elseif kind == '&' or kind == '|' then
    local all, one = true, false
    for _ = 1, tonumber(take()) do
      local met = meets()
      all, one = all and met, one or met
    end
    if kind == '&' then
      return all
    end
    return one
  end
  local field = take()
  looked_at[#looked_at + 1] = field
  return LEAVES[kind](old[field])
end

-- A refusal with the fields that are not as they are required to be.
RULES.unmet = function(g, i)
  local refusal, met, last = {'UNMET', g.number + i}, true, g.token_at + g.tokens
  place, old = g.token_at, g.old[i]
  while place < last do
    take()
    looked_at = {}
    if not meets() then
      met = false
      for _, field in ipairs(looked_at) do
        refusal[#refusal + 1] = field
      end
    end
  end
  return not met and refusal
end
