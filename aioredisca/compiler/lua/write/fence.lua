-- needs: fences, fence_of, base, epoch_of
-- gives: fence, unclaimed
-- Nothing that was not claimed is written, and nothing by a claim that may have been lost since: then the epoch is
-- another one.

-- Notes what a write makes of one unique.
local function fence(list, of, field, change_of)
  for _, g in ipairs(list) do
    for i = 1, g.count do
      local before, after = change_of(g, i, field)
      local known = fences[g.number + i]
      if before ~= after then
        known = known or fence_of(g.number + i, g.ids[i])
        if before then
          known.gives[#known.gives + 1], known.gives[#known.gives + 2] = of, before
        end
        if after then
          known.wants[#known.wants + 1], known.wants[#known.wants + 2] = of, after
        end
      end
      if known then
        known.keeps = known.keeps or {}
        known.keeps[of] = after
      end
    end
  end
end

local function is_claimed(known, of, value)
  for i = 1, #known.claims, 2 do
    if known.claims[i] == of and known.claims[i + 1] == value then
      return true
    end
  end
  return false
end

-- A refusal: of each record whose claims do not count, its number, its epoch, and all that it is to hold.
local function unclaimed()
  local refusal
  for number, known in pairs(fences) do
    local wants, epoch = known.wants, nil
    if wants[1] then
      epoch = epoch_of(base, known.id)
      local counts = epoch == known.epoch
      for i = 1, #wants, 2 do
        counts = counts and is_claimed(known, wants[i], wants[i + 1])
      end
      if not counts then
        refusal = refusal or {'CLAIM', 1}
        refusal[#refusal + 1] = {number, epoch, unpack(wants)}
      end
    end
  end
  return refusal
end
