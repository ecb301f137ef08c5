-- needs: is_over
-- gives:
-- Before collect.lua, of classes whose records end.

do
  local base = string.sub(KEYS[1], 1, -6)
  if is_over(base, KEYS[2], string.sub(KEYS[2], #base + 2)) then
    return {'GONE', 1}
  end
end
