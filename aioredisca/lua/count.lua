-- Mode n: adds to the number in one field, exactly, and within bounds.
--
-- ARGV   after the record: number of the field's index or 0, field, what to add, least and greatest result
--        or '', decimal places. All numbers but the last are whole: units of the last decimal place.

local EXACT = 9007199254740992 -- 2^53: up to here a double tells every integer from the next

PART.take_sum = function(r)
  r.sum = {index = tonumber(take()), field = take(), by = tonumber(take())}
  r.sum.low, r.sum.high, r.sum.places = tonumber(take()), tonumber(take()), tonumber(take())
  if r.sum.index > 0 then
    r.new[r.sum.index] = false -- until the sum is known
  end
end

local other_names = PART.names
PART.names = function(r, names)
  names[#names + 1] = r.sum and r.sum.field
  if other_names then
    other_names(r, names)
  end
end

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

PART.judge_sum = function(r)
  local sum = r.sum
  local stored_text = r.old[sum.field]
  local before = units(stored_text or '0', sum.places)
  if not before or math.abs(before) > EXACT then
    return {'NUMBER', r.number, sum.field}
  end
  local after = before + sum.by
  local inexact = math.abs(after) > EXACT or after - sum.by ~= before
  if inexact or sum.low and after < sum.low or sum.high and after > sum.high then
    return {'BOUNDS', r.number, sum.field, stored_text or ''}
  end
  sum.text = text_of(after, sum.places)
  if sum.index > 0 then
    r.new[sum.index], r.extra[sum.index] = sum.text, string.format('%.0f', after)
  end
end
