-- needs: score_text, call, floor, less, min, max, STEP, ids_of, IDS, size, driver, by_flags, KINDS, cursor, cover,
--   tree, leaves, set_driver, keep
-- gives: split, score_ranks, text_ranks, at_ranks, score_place, drivers, drive
-- Walking the leaves that cover the tree, from the place where a cursor says that it stopped.

-- Each walker takes the place where it stopped ('' at the start) and yields the next ids and the place where
-- it stops now, nil at its end. A place is what was seen last, so that it stays good while others write.

-- The rank of the first entry after (score, id), or at it; the entry need not be there any more.
local function rank_of(key, score, id, at_it)
  local first = call('ZCOUNT', key, '-inf', '(' .. score)
  local stop = first + call('ZCOUNT', key, score, score)
  while first < stop do
    local middle = floor((first + stop) / 2)
    local other = call('ZRANGE', key, middle, middle)[1]
    if less(other, id) or (other == id and not at_it) then
      first = middle + 1
    else
      stop = middle
    end
  end
  return first
end

local function split(place)
  local colon = string.find(place, ':', 1, true)
  return string.sub(place, 1, colon - 1), string.sub(place, colon + 1)
end

-- The ranks of scored entries, first to before stop, within the bounds of *leaf* and beyond *place*.
local function score_ranks(key, leaf, place, backwards)
  local first, stop = 0, call('ZCARD', key)
  if leaf and leaf.low ~= '-inf' then
    first = stop - call('ZCOUNT', key, leaf.low, '+inf')
  end
  if leaf and leaf.high ~= '+inf' then
    stop = call('ZCOUNT', key, '-inf', leaf.high)
  end
  if place ~= '' then
    local score, id = split(place)
    if backwards then
      stop = min(stop, rank_of(key, score, id, true))
    else
      first = max(first, rank_of(key, score, id, false))
    end
  end
  return first, max(first, stop)
end

-- The ranks of entries that all have one score, within the ends *low* and *high* and beyond *place*.
local function text_ranks(key, low, high, place, backwards)
  if place ~= '' and backwards and (high == '+' or less(place, string.sub(high, 2))) then
    high = '(' .. place
  elseif place ~= '' and not backwards and (low == '-' or less(string.sub(low, 2), place)) then
    low = '(' .. place
  end
  local first, stop = 0, call('ZCARD', key)
  if low ~= '-' then
    first = stop - call('ZLEXCOUNT', key, low, '+')
  end
  if high ~= '+' then
    stop = call('ZLEXCOUNT', key, '-', high)
  end
  return first, max(first, stop)
end

-- Up to *step* entries of ranks first .. stop - 1, from the end that is walked from.
local function at_ranks(key, first, stop, backwards, step)
  if first >= stop or step <= 0 then
    return {}
  elseif backwards then
    local all = call('ZCARD', key)
    return call('ZREVRANGE', key, all - stop, min(all - stop + step, all - first) - 1)
  end
  return call('ZRANGE', key, first, min(first + step, stop) - 1)
end

local function score_place(key, id)
  return score_text(call('ZSCORE', key, id)) .. ':' .. id
end

local function walk_scores(leaf, place)
  local first, stop = score_ranks(leaf.key, leaf, place, false)
  local ids = at_ranks(leaf.key, first, stop, false, STEP)
  return ids, #ids < stop - first and score_place(leaf.key, ids[#ids]) or nil
end

local function walk_texts(leaf, place)
  local first, stop = text_ranks(leaf.key, leaf.low, leaf.high, place, false)
  local members = at_ranks(leaf.key, first, stop, false, STEP)
  local last = members[#members]
  return ids_of(members), #members < stop - first and last or nil
end

local function walk_ids(place)
  local ids = call('ZRANGEBYLEX', IDS, place == '' and '-' or '(' .. place, '+', 'LIMIT', 0, STEP + 1)
  local more = #ids > STEP
  if more then
    ids[#ids] = nil
  end
  return ids, more and ids[#ids] or nil
end

local function walk_set(leaf, place)
  if place == '' and size(leaf) <= STEP then
    return call('SMEMBERS', leaf.key)
  end
  local step = call('SSCAN', leaf.key, place == '' and '0' or place, 'COUNT', STEP)
  return step[2], step[1] ~= '0' and step[1] or nil
end

local function walk(leaf, place)
  if leaf.kind == 'S' then
    return walk_set(leaf, place)
  elseif leaf.kind == 'Z' then
    return walk_scores(leaf, place)
  elseif leaf.kind == 'L' then
    return walk_texts(leaf, place)
  elseif leaf.kind == 'H' then
    return leaf.id and {leaf.id} or {}
  elseif leaf.kind == 'I' then
    return leaf.list
  end
  return walk_ids(place)
end

-- Whether two leaves are ranges of one index that have nothing in common.
local function apart(a, b)
  if a.key ~= b.key or a.kind ~= b.kind then
    return false
  elseif a.kind == 'L' then
    return (a.high ~= '+' and b.low ~= '-' and not less(string.sub(b.low, 2), string.sub(a.high, 2)))
      or (b.high ~= '+' and a.low ~= '-' and not less(string.sub(a.low, 2), string.sub(b.high, 2)))
  end
  return a.kind == 'Z' and (a.to < b.from or b.to < a.from)
end

-- Those of *ids* that none of the first *earlier* drivers yields and that are not in *seen*, which they enter.
local function unseen(list, earlier, ids, seen)
  for number = 1, earlier do
    local leaf = list[number]
    ids = #ids > 0 and not apart(leaf, driver) and by_flags(ids, KINDS[leaf.kind].holds(leaf, ids), false) or ids
  end
  local fresh = {}
  for i = 1, #ids do
    if not seen[ids[i]] then
      seen[ids[i]] = true
      fresh[#fresh + 1] = ids[i]
    end
  end
  return fresh
end

-- Drivers are chosen once, then named by the cursor: 3,5|2|place
local function drivers()
  if cursor == '' then
    return cover(tree), 1, ''
  end
  local names, number, place = string.match(cursor, '^([%d,]*)|(%d+)|(.*)$')
  local list = {}
  for name in string.gmatch(names, '%d+') do
    local leaf = leaves[tonumber(name)]
    list[#list + 1] = leaf
    if leaf.kind == 'I' then
      size(leaf)
    end
  end
  return list, tonumber(number), place
end

local function name_of(list, number, place)
  local names = {}
  for i = 1, #list do
    names[i] = list[i].number
  end
  return table.concat(names, ',') .. '|' .. number .. '|' .. place
end

-- Calls *found* with ids that match, until it says stop, *budget* ids are examined, or all is seen. -> cursor
local function drive(list, number, place, budget, found)
  local examined, seen = 0, {}
  local walked = place == '' and number - 1 or number -- by earlier calls, so that *seen* does not tell
  while number <= #list do
    set_driver(list[number])
    local ids, next_place = walk(driver, place)
    local disjoint = driver.parent and driver.parent.op == '+'
    local earlier = min(walked, number - (disjoint and driver.place or 1))
    examined = examined + #ids + earlier + 1 -- to ask a driver takes about as long as an id
    if #list > 1 or next_place or place ~= '' then -- else each is seen once, as a key yields it
      ids = unseen(list, earlier, ids, seen)
    end
    local stop = found(keep(tree, ids))
    if next_place then
      place = next_place
    else
      number, place = number + 1, ''
      while number <= #list and size(list[number]) == 0 do -- not worth another call
        number = number + 1
      end
    end
    if (stop or examined >= budget) and number <= #list then
      return name_of(list, number, place)
    end
  end
  return ''
end
