-- needs: order, sliced, order_key, call, records, order_field, sortable, less, descending, cursor, split,
--   drive, min, offset, room, max, fetch_all, score_ranks, text_ranks, IDS, score_place, size, EVERY,
--   none_key, BUDGET, at_ranks, by_flags, KINDS, range_of_order, implied_by_order, tree, STEP, set_driver,
--   given, id_of, lookup, keep, fetch, limit, way_of_order
-- gives:
-- Rows in an order, and limited.

-- Cursors are places in the order, whichever way was taken: i id, z score:id, t text NUL id; n id for those
-- without a value, who come last.

local STAGES = {id = 'i', score = 'z', text = 't'}

-- For each of *ids* what orders it: a number, a text, or nothing; and its place.
local function ranked(ids)
  local ranks, places = {}, {}
  local scores = order == 'score' and sliced('ZMSCORE', order_key, ids)
  for i = 1, #ids do
    local id = ids[i]
    if order == 'id' then
      ranks[id], places[id] = '', 'i' .. id
    elseif scores and scores[i] then
      ranks[id], places[id] = tonumber(scores[i]), 'z' .. scores[i] .. ':' .. id
    elseif order == 'text' then
      local value = call('HGET', records .. id, order_field)
      ranks[id] = value and sortable(value) or nil
      places[id] = value and 't' .. ranks[id] .. '\0' .. id
    end
    places[id] = places[id] or 'n' .. id
  end
  return ranks, places
end

local function precedes(x, y)
  if type(x) == 'number' then
    return x < y
  end
  return less(x, y)
end

-- Whether (rank x, id a) comes before (y, b): those without a value last.
local function before(x, a, y, b)
  if x ~= y then
    if x == nil or y == nil then
      return x ~= nil
    elseif descending then
      return precedes(y, x)
    end
    return precedes(x, y)
  elseif descending then
    return less(b, a)
  end
  return less(a, b)
end

local function read_cursor()
  local stage, place = string.sub(cursor, 1, 1), string.sub(cursor, 2)
  if stage == 'z' then
    local score, id = split(place)
    return tonumber(score), id
  elseif stage == 't' then
    local nul = string.find(place, '\0', 1, true)
    return string.sub(place, 1, nul - 1), string.sub(place, nul + 1)
  end
  return stage == 'i' and '' or nil, place
end

local function beyond_cursor(ids, ranks)
  if cursor == '' then
    return ids
  end
  local rank, id = read_cursor()
  local rest = {}
  for i = 1, #ids do
    if before(rank, id, ranks[ids[i]], ids[i]) then
      rest[#rest + 1] = ids[i]
    end
  end
  return rest
end

-- Few candidates: all of them, sorted.
local function gather(list)
  local ids = {}
  drive(list, 1, '', math.huge, function(some)
    for i = 1, #some do
      ids[#ids + 1] = some[i]
    end
  end)
  local ranks, places = ranked(ids)
  ids = beyond_cursor(ids, ranks)
  table.sort(ids, function(a, b)
    return before(ranks[a], a, ranks[b], b)
  end)
  local last = min(#ids, offset + room())
  local wanted = {}
  for i = offset + 1, last do
    wanted[#wanted + 1] = ids[i]
  end
  local mark = #wanted > 0 and last < #ids and places[wanted[#wanted]] or ''
  return {mark, max(0, offset - #ids), fetch_all(wanted)}
end

-- The ranks still to walk of the index that the order is kept by.
local function order_ranks(leaf, place)
  if order == 'score' then
    return score_ranks(order_key, leaf, place, descending)
  elseif order == 'text' then
    return text_ranks(order_key, leaf and leaf.low or '-', leaf and leaf.high or '+', place, descending)
  end
  return text_ranks(IDS, '-', '+', place, descending)
end

local function place_of(stage, member)
  if stage == 'z' then
    return 'z' .. score_place(order_key, member)
  end
  return stage .. member
end

-- Those without a value, in the order of ids: all ids are walked where they are many.
local function tail_step(place, step)
  local members = size(EVERY) > 0 and call('SCARD', none_key) or 0
  if members > BUDGET then
    local first, stop = text_ranks(IDS, '-', '+', place, descending)
    local ids = at_ranks(IDS, first, stop, descending, step)
    local more = #ids < stop - first and ids[#ids] or nil
    return by_flags(ids, KINDS.S.holds({key = none_key}, ids), true), more, #ids
  end
  local ids = {}
  for _, id in ipairs(members > 0 and call('SMEMBERS', none_key) or {}) do
    if place == '' or (descending and less(id, place)) or (not descending and less(place, id)) then
      ids[#ids + 1] = id
    end
  end
  table.sort(ids, function(a, b)
    return less(descending and b or a, descending and a or b)
  end)
  return ids, nil, #ids
end

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
