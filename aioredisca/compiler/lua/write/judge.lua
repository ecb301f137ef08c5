-- needs: call, SLICE, min, groups, reading, RULES
-- gives: read
-- Reads and judges all groups of the batch. One that may be passed over has one record.

local read, judge
if reading then -- records that may be there
  -- Reads record i of a group; a refusal where its key holds something else.
  read = function(g, i)
    local key, names, witness = g.key or KEYS[g.key_at + i], g.names or ARGV, g.class.witness
    local old, first = {}, g.first_read
    repeat
      local last = min(first + SLICE - 1, g.last_read)
      local values = redis.pcall('HMGET', key, witness, unpack(names, first, last))
      if values.err then
        return call('TYPE', key).ok == 'hash' and values or {'TYPE', g.number + i}
      end
      old[witness] = values[1] or nil
      for j = first, last do
        old[names[j]] = values[j - first + 2] or nil
      end
      first = last + 1
    until first > g.last_read
    g.old[i] = (next(old) or call('EXISTS', key) == 1) and old
  end

  judge = function(g, i)
    local mode, exists = g.mode, g.old[i]
    if g.tokens and not exists then
      return {'GONE', g.number + i}
    elseif mode == 'd' then
      return exists and (g.care and RULES.stale(g, i) or g.tokens and RULES.unmet(g, i))
    elseif mode == 'c' and exists and not (g.care == '1' and RULES.as_meant(g, i)) then
      return {'EXISTS', g.number + i}
    elseif mode ~= 'c' and mode ~= 's' and not exists then
      return {'GONE', g.number + i}
    end
    local refusal = g.care and RULES.stale(g, i) or g.tokens and RULES.unmet(g, i)
    local missing = not exists and g.class.missing and g.class.missing(g.columns)
    if missing and not refusal then
      return {'REQUIRED', g.number + i, missing}
    end
    return refusal or g.sums and RULES.sum(g, i)
  end
end

for _, g in ipairs(groups) do
  for i = 1, g.old and g.count or 0 do
    local refusal = read(g, i)
    if refusal then
      return refusal
    end
    refusal = judge(g, i)
    if refusal and g.care ~= 'p' then
      return refusal
    end
    g.passed = refusal or g.mode == 'k' -- which was looked at, and is not written
  end
  local new = g.old and 0 or g.count -- one command asks whether any of these is there
  for first = 1, new, SLICE do
    if call('EXISTS', unpack(KEYS, g.key_at + first, g.key_at + min(first + SLICE - 1, new))) > 0 then
      for i = first, new do
        local kind = call('TYPE', KEYS[g.key_at + i]).ok
        if kind ~= 'none' then
          return {kind == 'hash' and 'EXISTS' or 'TYPE', g.number + i}
        end
      end
    end
  end
  local missing = new > 0 and g.class.missing and g.class.missing(g.columns)
  if missing then
    return {'REQUIRED', g.number + 1, missing}
  end
end
