-- needs: call, holds_value, groups, read, CLASSES, RULES
-- gives:
-- A delete spreads: records that refer to a deleted one go with it, lose the reference, or forbid the delete.
--
-- class.referrers  {class = number of the class that refers, field = the reference there,
--                  stem = what its value has before the id, act, label = how errors name it}
-- class.tracked    makes a list of the fields that indexes know; class.name is the model's
--
-- All is found and judged before anything is written, on the final state: a record that goes forbids nothing.
-- In such a script each group has one record. Records found on the server become groups like those from ARGV.

local MOST = $MAX_BATCH

local known = {} -- groups by the key of their record
local deleted, restrict, nullify = {}, {}, {}

-- Whether a record will refer to a deleted one, as far as this batch is known.
local function holds(base, id, key, field, value)
  local g = known[key]
  if g and g.mode == 'd' then
    return false
  elseif g and g.columns[field] ~= nil then
    return g.columns[field] and ARGV[g.row + g.width + g.columns[field]] == value
  end
  return holds_value(key, field, value) and not (RULES.over and RULES.over(base, key, id))
end

-- The ids and keys of the records that refer to that of g, or nothing where there are too many.
local function holders_of(g, reference)
  local class = CLASSES[reference.class]
  local field, value = reference.field, reference.stem .. g.ids[1]
  local entry = class.base .. '/x/' .. field .. '/' .. value
  local many = call('SCARD', entry) > MOST
  if #value > $LONG_VALUE or many and reference.act ~= 'restrict' then
    return
  end
  local found = {}
  for _, id in ipairs(many and call('SRANDMEMBER', entry, 100) or call('SMEMBERS', entry)) do
    local key = class.base .. ':' .. id
    if holds(class.base, id, key, field, value) then
      found[#found + 1] = {id = id, key = key, class = class, of = g, reference = reference}
    end
  end
  return (#found > 0 or not many) and found or nil
end

-- The group of a holder, which sets and drops nothing if it was not in the batch.
local function bring_in(holder)
  local g = known[holder.key]
  if not g then
    g = {
      class = holder.class, number = holder.of.number, count = 1, key = holder.key,
      ids = {holder.id}, row = 0, width = 0, columns = {}, old = {{}}, first_set = 1, last = 0, follows = true,
    }
    known[holder.key] = g
    groups[#groups + 1] = g
  end
  return g
end

-- Reads all that indexes know of a record.
local function read_all(g)
  g.old, g.names, g.indexed = {}, g.class.tracked(), true
  g.first_read, g.last_read = 1, #g.names
  return read(g, 1)
end

local function delete_holder(holder)
  local g = bring_in(holder)
  g.overruled, g.mode, g.columns = g.mode ~= nil, 'd', {}
  for _, field in ipairs(g.class.tracked()) do
    g.columns[field] = false
  end
  deleted[#deleted + 1] = g
  return read_all(g)
end

local function lose(holder)
  local g, field = bring_in(holder), holder.reference.field
  if g.mode == 'd' then
    return
  end
  local refusal = not g.lost and g.old and g.old[1] and read_all(g)
  g.mode, g.lost = g.mode or 'u', g.lost or {}
  g.lost[#g.lost + 1] = field
  g.columns[field], g.indexed = false, true
  return refusal
end

-- Finds what refers to a record that goes.
local function spread(g)
  for _, reference in ipairs(g.old[1] and g.class.referrers or {}) do
    local found = holders_of(g, reference)
    if not found or #groups + #found > MOST then
      return {'MANY', g.number + 1}
    end
    for _, holder in ipairs(found) do
      local refusal
      if reference.act == 'cascade' then
        refusal = delete_holder(holder)
      else
        table.insert(reference.act == 'restrict' and restrict or nullify, holder)
      end
      if refusal then
        return refusal
      end
    end
  end
end

for _, g in ipairs(groups) do
  if not g.passed then
    known[KEYS[g.key_at + 1]] = g
    deleted[#deleted + 1] = g.mode == 'd' and g or nil
  end
end
local done = 0
while done < #deleted do
  done = done + 1
  local refusal = spread(deleted[done])
  if refusal then
    return refusal
  end
end
for _, holder in ipairs(restrict) do
  local g, of = known[holder.key], holder.of
  if not g or g.mode ~= 'd' then
    return {'RESTRICTED', of.number + 1, of.class.name, of.ids[1], holder.reference.label, holder.id}
  end
end
for _, holder in ipairs(nullify) do
  local refusal = lose(holder) or #groups > MOST and {'MANY', holder.of.number + 1}
  if refusal then
    return refusal
  end
end
