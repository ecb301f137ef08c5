-- needs: order_ranks, order_key, MOMENTS, call, now, max, tail_step, size, EVERY, text_ranks, IDS, descending,
--   at_ranks, by_flags, sliced
-- gives: order_ranks, tail_step
-- The order of moments: those that are over stand before all others, those that live for ever nowhere in it.

local ranks_of_all = order_ranks
local function order_ranks(leaf, place)
  local first, stop = ranks_of_all(leaf, place)
  if order_key == MOMENTS then
    first = max(first, call('ZCOUNT', MOMENTS, '-inf', '(' .. now))
  end
  return first, max(first, stop)
end

local tail_of_set = tail_step
local function tail_step(place, step)
  if order_key ~= MOMENTS then
    return tail_of_set(place, step)
  elseif size(EVERY) <= call('ZCARD', MOMENTS) then -- nobody lives for ever
    return {}, nil, 0
  end
  local first, stop = text_ranks(IDS, '-', '+', place, descending)
  local ids = at_ranks(IDS, first, stop, descending, step)
  local more = #ids < stop - first and ids[#ids] or nil
  return by_flags(ids, sliced('ZMSCORE', MOMENTS, ids), false), more, #ids
end
