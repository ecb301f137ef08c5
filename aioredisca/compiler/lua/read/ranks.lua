-- needs: score_text, order, sliced, order_key, call, records, order_field, sortable, less, descending, cursor, split,
--   drive, min, offset, room, max, fetch_all, score_ranks, text_ranks, IDS, score_place, size, EVERY,
--   none_key, BUDGET, at_ranks, by_flags, KINDS
-- gives: STAGES, gather, order_ranks, place_of, tail_step
-- Places in an order; rows gathered and sorted by them.

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
      ranks[id], places[id] = tonumber(scores[i]), 'z' .. score_text(scores[i]) .. ':' .. id
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
