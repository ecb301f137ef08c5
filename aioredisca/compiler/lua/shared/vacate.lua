-- needs: call
-- gives: epoch_of, vacate, owed
-- Claims on values that a record holds no more, or was not given: its epoch moves on, so that no write that counts on
-- them passes any more, and they are noted to be released. See docs/storage.md.
--
-- base/e  hash: bucket of the id -> epoch       base/o  list: the unique, value, id, epoch; each after its length

local owed = 0

local function bucket_of(id) -- as partitions.py counts
  local bucket = 0
  for i = 1, #id do
    bucket = (bucket * 31 + string.byte(id, i)) % 256
  end
  return bucket
end

local function epoch_of(base, id)
  return call('HGET', base .. '/e', bucket_of(id)) or '0'
end

local function told(text)
  return #text .. ':' .. text
end

-- *values*: the unique, a value, the unique, a value ... *beyond*: an epoch that is to be passed as well. Answers the new one.
local function vacate(base, id, values, beyond)
  local epoch = math.max(tonumber(epoch_of(base, id)), tonumber(beyond or 0)) + 1
  local text = string.format('%.0f', epoch)
  call('HSET', base .. '/e', bucket_of(id), text)
  for i = 1, #values, 2 do
    call('RPUSH', base .. '/o', told(values[i]) .. told(values[i + 1]) .. told(id) .. told(text))
  end
  owed = owed + #values / 2
  return text
end
