-- Judges all groups of the batch. One that may be passed over has one record.

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
    g.passed = refusal
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
