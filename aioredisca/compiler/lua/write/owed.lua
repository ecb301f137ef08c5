-- needs: call, groups, fences, base, holds_claimed, vacate, owed, reply
-- gives:
-- When all is written: claims on what records hold no more, or were not given, are to be released.

for _, g in ipairs(groups) do
  for i = 1, g.count do
    local known = fences[g.number + i]
    local claims, gives = known and known.claims or {}, known and known.gives or {}
    for n = 1, #claims, 2 do
      local of, value, kept = claims[n], claims[n + 1], nil
      if known.keeps then
        kept = known.keeps[of] == value
      else -- it was passed over
        kept = holds_claimed(KEYS[g.key_at + i], of, value)
      end
      if not kept then
        gives[#gives + 1], gives[#gives + 2] = of, value
      end
    end
    if gives[1] then
      vacate(base, g.ids[i], gives)
    end
  end
end
if owed > 0 then
  reply = {'OWES', call('LRANGE', base .. '/o', 0, owed + $ALSO_OWED - 1), unpack(reply, 2)}
end
