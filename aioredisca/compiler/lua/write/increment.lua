-- needs: RULES
-- gives:
-- Adds to numbers in fields of a record, exactly, and within bounds. Sums take their places in ARGV.
--
-- ARGV   behind the names of a group those of the fields that are added to; a row has room for the sums, and for the
--        score of each where the field has an extra; at its end, for each: what to add, least and greatest result or
--        '', decimal places. All numbers but the last are whole: units of the last decimal place.

local EXACT = 9007199254740992 -- 2^53: up to here a double tells every integer from the next

local function units(text, places)
  local sign, whole, fraction = string.match(text, '^([+-]?)(%d+)%.?(%d*)$')
  if whole and #fraction <= places then
    return tonumber(sign .. whole .. fraction .. string.rep('0', places - #fraction))
  end
end

local function text_of(count, places)
  local digits, sign = string.format('%.0f', math.abs(count)), count < 0 and '-' or ''
  if places == 0 then
    return sign .. digits
  end
  digits = string.rep('0', places + 1 - #digits) .. digits
  local fraction = string.gsub(string.sub(digits, -places), '0+$', '')
  return sign .. string.sub(digits, 1, -places - 1) .. (fraction ~= '' and '.' .. fraction or '')
end

local function add(g, i, n)
  local row, field = g.row + i * g.width, ARGV[g.first_sum + n]
  local last = row + g.sum_at + n * $INCREMENT_SIZE
  local $INCREMENT_NAMES = unpack(ARGV, last - $INCREMENT_SIZE + 1, last)
  by, low, high, places = tonumber(by), tonumber(low), tonumber(high), tonumber(places)
  local stored = g.old[i] and g.old[i][field]
  local before = units(stored or '0', places)
  if not before or math.abs(before) > EXACT then
    return {'NUMBER', g.number + i, field}
  end
  local after = before + by
  local inexact = math.abs(after) > EXACT or after - by ~= before
  if inexact or low and after < low or high and after > high then
    return {'BOUNDS', g.number + i, field, stored or ''}
  end
  ARGV[row + g.columns[field]] = text_of(after, places)
  if g.extras and g.extras[field] then
    ARGV[row + g.extras[field]] = string.format('%.0f', after)
  end
end

RULES.sum = function(g, i)
  for n = 1, g.sums do
    local refusal = add(g, i, n)
    if refusal then
      return refusal
    end
  end
end
