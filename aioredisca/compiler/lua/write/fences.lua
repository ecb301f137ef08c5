-- needs: call, groups, at, CLASSES
-- gives: fences, fence_of, base
-- What the client has claimed for records of the one class of the call, whose uniques hold over all its partitions.
--
-- ARGV   behind the groups: number of fences, then each: number of the record, epoch of its id that was known before
--        anything was claimed, how many claims there are, then unique, value, unique, value ...
--
-- A fence: id; epoch, claims = as in ARGV; claimed = the same by told();
--   wants, gives = what the write is to make the record hold, and what it holds no more: unique, value ...
--   keeps = unique -> what it holds afterwards, if it was judged

local fences, base = {}, CLASSES[1].base
call('LLEN', base .. '/o') -- another type of value stops the script here, where nothing is written yet

local function fence_of(number, id)
  local fence = fences[number]
  if not fence then
    fence = {epoch = '', claims = {}, wants = {}, gives = {}}
    fences[number] = fence
  end
  fence.id = fence.id or id
  return fence
end

local fence_at = at + 2
for _ = 1, tonumber(ARGV[at + 1]) do
  local $FENCE_NAMES = unpack(ARGV, fence_at, fence_at + $FENCE_SIZE - 1)
  local fence = fence_of(tonumber(number))
  fence.epoch = epoch
  for i = fence_at + $FENCE_SIZE, fence_at + $FENCE_SIZE + 2 * claims - 1 do
    fence.claims[#fence.claims + 1] = ARGV[i]
  end
  fence_at = fence_at + $FENCE_SIZE + 2 * claims
end
for _, g in ipairs(groups) do
  for i = 1, g.count do
    if fences[g.number + i] then
      fences[g.number + i].id = g.ids[i]
    end
  end
end
