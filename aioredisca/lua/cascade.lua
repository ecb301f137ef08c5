-- A delete spreads: records that refer to a deleted one go with it, lose the reference, or forbid the delete.
--
-- class.referrers  {class = number of the class that refers, index = number of the reference there,
--                  stem = what its value has before the id, act, label = how errors name it}
-- All is found and judged before anything is written, on the final state: a record that goes forbids nothing.

local MOST = 5000

-- r.lost: numbers of the references of a record that are taken away

PART.lose = function(r)
  for index in pairs(r.lost) do
    r.new[index] = false
  end
end

PART.lost_fields = function(r)
  local fields = {}
  for index in pairs(r.lost) do
    fields[#fields + 1] = r.class.indexes[index].field
  end
  return fields
end

local function follower(root, class, id, key)
  return {
    number = root.number, class = class, id = id, key = key, follows = true, new = {}, extra = {},
    expected = 1, last_expected = 0, changes = 1, last_change = 0, pairs = 1, last_pair = 0, drops = 1, last_drop = 0,
  }
end

local function holds(known, key, reference, field, value)
  if known and known.mode == 'd' then
    return false
  elseif known and known.new[reference.index] ~= nil then
    return known.new[reference.index] == value
  end
  return call('HGET', key, field) == value
end

-- The ids and keys of the records that refer to r, or nothing where there are too many.
local function holders(r, reference, known)
  local class = CLASSES[reference.class]
  local base = string.sub(KEYS[class.meta], 1, -6)
  local field, value = class.indexes[reference.index].field, reference.stem .. r.id
  local entry = base .. '/x/' .. field .. '/' .. value
  local many = call('SCARD', entry) > MOST
  if #value > LONG or many and reference.act ~= 'restrict' then
    return
  end
  local found = {}
  for _, id in ipairs(many and call('SRANDMEMBER', entry, 100) or call('SMEMBERS', entry)) do
    local key = base .. ':' .. id
    if holds(known[key], key, reference, field, value) then
      found[#found + 1] = {id = id, key = key, class = class, of = r, reference = reference}
    end
  end
  return (#found > 0 or not many) and found or nil
end

local function bring_in(state, holder)
  local r = state.known[holder.key]
  if not r then
    r = follower(holder.of, holder.class, holder.id, holder.key)
    state.known[holder.key] = r
    state.records[#state.records + 1] = r
  end
  return r
end

local function delete(state, holder)
  local r = bring_in(state, holder)
  r.overruled, r.mode = r.mode ~= nil, 'd'
  state.deleted[#state.deleted + 1] = r
  return prepare(r)
end

local function lose(state, holder)
  local r = bring_in(state, holder)
  if r.mode ~= 'd' then
    r.mode, r.lost = r.mode or 'u', r.lost or {}
    r.lost[holder.reference.index] = true
    return prepare(r)
  end
end

local function spread_from(state, r)
  for _, reference in ipairs(r.exists and r.class.referrers or {}) do
    local found = holders(r, reference, state.known)
    if not found or #state.records + #found > MOST then
      return {'MANY', r.number}
    end
    for _, holder in ipairs(found) do
      local refusal
      if reference.act == 'cascade' then
        refusal = delete(state, holder)
      else
        local list = state[reference.act]
        list[#list + 1] = holder
      end
      if refusal then
        return refusal
      end
    end
  end
end

PART.spread = function(records)
  local state = {records = records, known = {}, deleted = {}, restrict = {}, nullify = {}}
  for _, r in ipairs(records) do
    if not r.passed then
      state.known[r.key] = r
    end
    if r.mode == 'd' and not r.passed then
      state.deleted[#state.deleted + 1] = r
    end
  end
  local done = 0
  while done < #state.deleted do
    done = done + 1
    local refusal = spread_from(state, state.deleted[done])
    if refusal then
      return refusal
    end
  end
  for _, holder in ipairs(state.restrict) do
    local r = state.known[holder.key]
    if not r or r.mode ~= 'd' then
      return {'RESTRICTED', holder.of.number, holder.of.class.name, holder.of.id, holder.reference.label, holder.id}
    end
  end
  for _, holder in ipairs(state.nullify) do
    local refusal = lose(state, holder) or #records > MOST and {'MANY', holder.of.number}
    if refusal then
      return refusal
    end
  end
end
