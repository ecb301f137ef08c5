-- needs: call, holds_value, groups, read, CLASSES, RULES
-- gives:
-- A delete spreads: records that refer to a deleted one go with it, lose the reference, or forbid the delete.
-- Those of the batch count by what it makes of them, new ones too; the others by what is stored.
--
-- class.referrers  {class = number of the class that refers, field = the reference there,
--                  stem = what its value has before the id, act, label = how errors name it}
-- class.tracked    makes a list of the fields that indexes know; class.name is the model's
--
-- All is found and judged before anything is written, on the final state: a record that goes forbids nothing.
-- In such a script each group has one record. Records found on the server become groups like those from ARGV.
-- A group of the batch that goes along is overruled: it is passed over as what it was.

local MOST = $MAX_BATCH

local known = {} -- groups by the key of their record
local joining = {} -- key of an index entry -> groups of the batch that set the reference so
local deleted, restrict, nullify = {}, {}, {}

for _, class in ipairs(CLASSES) do
  for _, reference in ipairs(class.referrers or {}) do
    local from = CLASSES[reference.class]
    if call('HGET', KEYS[from.meta], 'e:x:' .. reference.field) ~= 'ready' then
      return {'UNBUILT', 1, reference.label}
    end
    from.references = from.references or {}
    from.references[reference.field] = true
  end
end

local function entry_of(class, field, value)
  return class.base .. '/x/' .. field .. '/' .. value
end

-- Notes the references that a group of the batch sets.
local function note(g)
  for field in pairs(g.class.references or {}) do
    if g.columns[field] then
      local entry = entry_of(g.class, field, ARGV[g.row + g.width + g.columns[field]])
      joining[entry] = joining[entry] or {}
      table.insert(joining[entry], g)
    end
  end
end

-- Whether a record that an index names refers to a deleted one, and the batch leaves it so.
local function stays(key, field, value)
  local g = known[key]
  return not (g and (g.mode == 'd' or g.columns[field] ~= nil)) and holds_value(key, field, value)
end

-- The ids that an index has for a value, or some and true where they are too many. Of a long value the client alone
-- can make the digest: all that have one are looked through.
local function indexed(class, field, value, entry)
  if #value > $LONG_VALUE then
    local ids, digests = {}, call('HGETALL', class.base .. '/h/' .. field)
    for i = 1, #digests, 2 do
      ids[#ids + 1] = digests[i]
    end
    return ids, false
  elseif call('SCARD', entry) > MOST then
    return call('SRANDMEMBER', entry, 100), true
  end
  return call('SMEMBERS', entry), false
end

-- The ids and keys of the records that will refer to that of g, or nothing where there are too many.
local function holders_of(g, reference)
  local class = CLASSES[reference.class]
  local field, value = reference.field, reference.stem .. g.ids[1]
  local entry = entry_of(class, field, value)
  local ids, many = indexed(class, field, value, entry)
  if many and reference.act ~= 'restrict' then
    return
  end
  local found = {}
  for _, id in ipairs(ids) do
    local key = class.base .. ':' .. id
    if stays(key, field, value) and not (RULES.over and RULES.over(class.base, key, id)) then
      found[#found + 1] = {id = id, key = key, class = class, of = g, reference = reference}
    end
  end
  for _, other in ipairs(joining[entry] or {}) do
    if other.mode ~= 'd' then
      found[#found + 1] = {id = other.ids[1], key = KEYS[other.key_at + 1], class = class, of = g, reference = reference}
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

-- Finds what refers to a record that goes: one that was there, or that the batch would have made.
local function spread(g)
  for _, reference in ipairs((g.old[1] or g.overruled) and g.class.referrers or {}) do
    local found = holders_of(g, reference)
    if not found then
      return {'MANY', g.number + 1}
    end
    for _, holder in ipairs(found) do
      local refusal
      if reference.act == 'restrict' then
        restrict[#restrict + 1] = holder
      elseif reference.act == 'cascade' then
        refusal = delete_holder(holder)
      else
        bring_in(holder)
        nullify[#nullify + 1] = holder
      end
      if refusal or #groups > MOST then
        return refusal or {'MANY', g.number + 1}
      end
    end
  end
end

for _, g in ipairs(groups) do
  if not g.passed then
    known[KEYS[g.key_at + 1]] = g
    deleted[#deleted + 1] = g.mode == 'd' and g or nil
    note(g)
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
  local refusal = lose(holder)
  if refusal then
    return refusal
  end
end
