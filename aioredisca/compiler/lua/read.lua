-- Reads and judges records that may be there.

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
  if mode == 'd' then
    return exists and g.care and PART.stale(g, i)
  elseif mode == 'c' and exists and not (g.care == '1' and PART.as_meant(g, i)) then
    return {'EXISTS', g.number + i}
  elseif mode ~= 'c' and mode ~= 's' and not exists then
    return {'GONE', g.number + i}
  end
  local refusal = g.care and PART.stale(g, i)
  local missing = not exists and g.class.missing and g.class.missing(g.columns)
  if missing and not refusal then
    return {'REQUIRED', g.number + i, missing}
  end
  return refusal or mode == 'n' and PART.sum(g, i)
end
