-- needs: call, groups
-- gives: timed
-- Fields that end, in a write: what it sets of them gets its end once the hashes are written, see fields_ended.lua.
-- Before anything is written the server is asked whether it would take that.
--
-- timed   per field that is set: its group, its name, and the milliseconds that it is to last, 0 for as long as it may

local timed = {}

local function counts(g, field)
  for n = 1, g.sums or 0 do
    if ARGV[g.first_sum + n] == field then
      return true
    end
  end
  return false
end

for _, g in ipairs(groups) do
  local ttls = g.class.ttls and g.mode ~= 'd' and not g.passed and g.class.ttls() or {}
  for _, one in ipairs(ttls) do
    local field, ttl = one[1], one[2]
    if g.columns[field] and counts(g, field) then -- as INCR does: what counts on keeps its end
      local left = call('HPTTL', g.key or KEYS[g.key_at + 1], 'FIELDS', '1', field)[1]
      ttl = left == -2 and ttl or left == -1 and 0 or math.max(left, 1)
    end
    if g.columns[field] and ttl > 0 then
      timed[#timed + 1] = {g, field, string.format('%.0f', ttl)}
    end
  end
end
if #timed > 0 then
  call('HPEXPIRE', KEYS[1], '1', 'FIELDS', '1', $MARKER) -- which meta has not
end
