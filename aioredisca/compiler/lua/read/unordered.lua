-- needs: FIELDS, width, records, tree, size, page, cursor, may_sort, prove, SLICE, score_ranks, call,
--   drivers, drive, BUDGET, fetch
-- gives:
-- Rows without an order: as they are found.

-- What SORT_RO fetches of each entry: its id, and the fields asked for.
local function gets()
  local arguments = {'GET', '#'}
  for i = FIELDS, FIELDS + width - 1 do
    arguments[#arguments + 1] = 'GET'
    arguments[#arguments + 1] = records .. '*->' .. ARGV[i]
  end
  return arguments
end

-- The leaves, where the tree is one, or a list of values, and their whole no more than a page.
local function whole_leaves()
  local list, total = tree.op and tree or {tree}, 0
  if tree.op and tree.op ~= '+' or tree.negated then
    return
  end
  for _, leaf in ipairs(list) do
    if leaf.negated or (leaf.kind ~= 'S' and leaf.kind ~= 'Z') then
      return
    end
    total = total + size(leaf)
  end
  return total <= page and list
end

local function stream()
  local whole = cursor == '' and may_sort and not prove and width > 0 and width < SLICE and whole_leaves()
  if whole then
    local lists, wanted = {}, gets()
    for _, leaf in ipairs(whole) do
      local first, count = 0, size(leaf)
      if leaf.kind == 'Z' and count > 0 then
        first = score_ranks(leaf.key, leaf, '', false)
      end
      if count > 0 then -- handed on as it is: to copy it here would take as long as to fetch it
        lists[#lists + 1] = call('SORT_RO', leaf.key, 'BY', 'nosort', 'LIMIT', first, count, unpack(wanted))
      end
    end
    return {'', 0, lists}
  end
  local rows, count = {}, 0
  local list, number, place = drivers()
  local mark = drive(list, number, place, BUDGET, function(ids)
    for i = 1, #ids do
      fetch(rows, ids[i])
    end
    count = count + #ids
    return count >= page
  end)
  return {mark, 0, rows}
end

return stream()
