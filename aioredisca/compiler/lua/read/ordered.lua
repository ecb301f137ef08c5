-- needs: range_of_order, implied_by_order, STAGES, order, cursor, tree, IDS, order_key, room, max, min, STEP,
--   set_driver, EVERY, given, tail_step, order_ranks, offset, at_ranks, descending, place_of, id_of, lookup,
--   keep, fetch, none_key, BUDGET, limit, way_of_order, gather
-- gives:
-- Rows in an order, and limited.

-- Many candidates: the index of the order from the cursor on, tested as it is walked.
local function sweep()
  local leaf, implied = range_of_order(), implied_by_order()
  local stage, place = STAGES[order], string.sub(cursor, 2)
  if string.sub(cursor, 1, 1) == 'n' then
    stage = 'n'
  end
  local pure = not tree.op and (tree == leaf or tree == implied or (tree.kind == 'A' and not tree.negated))
  local key = order == 'id' and IDS or order_key
  local rows, found, examined, wanted = {}, 0, 0, room()
  local step = max(32, min(STEP, 2 * wanted))
  while true do
    set_driver(stage ~= 'n' and leaf or EVERY)
    given = stage ~= 'n' and implied or nil
    local members, ids, more, looked
    if stage == 'n' then
      ids, more, looked = tail_step(place, step)
      members = ids
    else
      local first, stop = order_ranks(leaf, place)
      if pure then -- nothing to test: passed over by rank
        local skip = min(offset, stop - first)
        first, stop = first + (descending and 0 or skip), stop - (descending and skip or 0)
        offset = offset - skip
      end
      members = at_ranks(key, first, stop, descending, step)
      more = #members < stop - first and members[#members] or nil
      more = more and string.sub(place_of(stage, more), 2)
      ids, looked = members, #members
      if stage == 't' then
        ids = {}
        for i = 1, #members do
          ids[i] = id_of(members[i])
        end
      end
    end
    examined = examined + looked
    local kept = lookup(keep(tree, ids))
    for i = 1, #ids do
      if kept[ids[i]] and offset > 0 then
        offset = offset - 1
      elseif kept[ids[i]] then
        fetch(rows, ids[i])
        found = found + 1
        if found == wanted then
          return {place_of(stage, members[i]), 0, rows}
        end
      end
    end
    if more then
      place = more
    elseif stage ~= 'n' and stage ~= 'i' and not leaf and none_key then
      stage, place = 'n', ''
    else
      return {'', offset, rows}
    end
    if examined >= BUDGET then
      return {stage .. place, offset, rows}
    end
    step = min(STEP, 2 * step)
  end
end

local function ordered()
  if limit == 0 then
    return {'', 0, {}}
  end
  local way, list = way_of_order()
  if way == 'walk' then
    return sweep()
  elseif way == 'gather' then
    return gather(list)
  end
  return {'?', offset, {}}
end

return ordered()
