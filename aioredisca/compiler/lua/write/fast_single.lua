-- needs: call, holds_value
-- gives:
-- One record by straight code, for what a single save costs is mostly what is built on the way. It does the same
-- as the rest of the script, and returns, where the client asks for it in the place of the number of groups.
--
-- fast_single.py writes it out for a class in two ways. "plain", for all classes: updates that set fields which no
-- index knows. "whole", for classes with indexes of single fields by value or score: every change of one record
-- that expects nothing. A part between "each" and "end" is written out for every row that has all the names behind
-- "each": the class is a row (plain or whole; marker, if it has no required field; passing_marker, if that goes when
-- a field is set; collections, if it has some; lasts, if it has fields whose values last for a while; fenced, if its
-- uniques hold over all partitions: then only what gives up no unique value comes here), and so is every
-- indexed, required and lasting field, with the names of its keys. What $ stands before is filled in.
--
-- Measured on Valkey 9.1, time of the server per call: whole takes half of what the general script takes for a
-- create or an update of three indexed fields, plain four fifths of what whole takes for the same update.
--
-- KEYS   plain: meta, the record   whole: all fixed keys, the record
-- ARGV   plain: the run PLAIN of positions.py, then pairs (field, value)
--        whole: the run FAST (what asks, id, mode (c, u, s, d), 1 if a declared field is set, where in ARGV the
--        pairs end and where the extras end), then, if fenced, the epoch of the id by which its values were claimed
--        (nothing, where none is set) and the bucket of that, then pairs, extras (field, score or digest), fields to drop
-- reply  as of every write

if ARGV[1] == $asks then
  local key = KEYS[#KEYS]
  local permit = call('HGET', KEYS[1], $permit)
  if permit ~= '1' then -- the rule of permit.lua: to build its function here is 3 % of a call
    if permit == 'm' then
      call('ZADD', string.sub(KEYS[1], 1, -5) .. 'd', 'INCR', '1', string.sub(key, #KEYS[1] - 3))
    elseif permit ~= 's' then
      return {'SCHEMA', 1, permit or ''}
    else
      $stamp
      stamp(KEYS[1], $permit)
    end
  end
  --each plain, lasts
  local new = {}
  for i = $PLAIN_SIZE + $first, #ARGV, 2 do
    new[ARGV[i]] = ARGV[i + 1]
  end
  --end
  --each plain, endless
  local kind = call('TYPE', key).ok
  if kind ~= 'hash' then
    return {kind == 'none' and 'GONE' or 'TYPE', 1}
  end
  --end
  --each plain, ends
  local base, ends, exists, changed, renoted = string.sub(KEYS[1], 1, -6), ARGV[$PLAIN_SIZE + 1], true, false, false
  local id, left = string.sub(key, #base + 2), call('PTTL', key)
  --end
  --each whole
  local id, mode, declared = ARGV[$FAST_ID], ARGV[$FAST_MODE], ARGV[$FAST_DECLARED] == '1'
  local first_pair, last_pair, last_extra = $FAST_SIZE + $first, tonumber(ARGV[$FAST_LAST_PAIR]), tonumber(ARGV[$FAST_LAST_EXTRA])
  local new, extras, old, exists = {}, {}, nil, nil
  --end
  --each whole
  for i = first_pair, last_pair, 2 do
    new[ARGV[i]] = ARGV[i + 1]
  end
  for i = last_pair + 1, last_extra, 2 do
    extras[ARGV[i]] = ARGV[i + 1]
  end
  for i = last_extra + 1, #ARGV do
    new[ARGV[i]] = false
  end
  if mode == 'c' then
    old, exists = {}, call('EXISTS', key) == 1
  else
    old = redis.pcall('HMGET', key, $fields)
    exists = $found or not old.err and call('EXISTS', key) == 1
  end
  --end
  --each whole, ends
  local base, ends, changed, renoted = string.sub(KEYS[1], 1, -6), ARGV[$FAST_SIZE + 1], false, false
  local left = exists and not old.err and call('PTTL', key) or -2
  --end
  --each ends
  if left == 0 then -- on older servers it may be over, and be seen all the same
    $over
    if is_over(base, key, id) then
      bury(base, id, $collections_of)
      left = -2
    end
  end
  --end
  --each plain, ends
  if left == -2 then
    return {'GONE', 1}
  end
  --end
  --each whole, ends
  if exists and left == -2 then
    exists, old = false, {}
  end
  --end
  --each ends
  -- shared/ends.lua tells what *ends* says
  local how, number = string.sub(ends, 1, 1), tonumber(string.sub(ends, 2))
  local time, now, wanted
  if how == 'r' or number and how == 'n' and not exists then
    time = call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
    wanted = now + number
  elseif how == 'a' then
    wanted = string.sub(ends, 2)
  end
  --end
  --each whole
  if (old.err or mode == 'c' and exists) and call('TYPE', key).ok ~= 'hash' then
    return {'TYPE', 1}
  elseif old.err then
    return old
  elseif mode == 'c' and exists then
    return {'EXISTS', 1}
  elseif mode == 'u' and not exists then
    return {'GONE', 1}
  end
  --end
  --each required
  if not exists and not new[$field] and mode ~= 'd' then
    return {'REQUIRED', 1, $field}
  end
  --end

  --each whole, endless
  local base, keeps = string.sub(KEYS[1], 1, -6), exists and mode ~= 'd'
  --end
  --each whole, ends
  local keeps = exists and mode ~= 'd'
  --end
  --each tracked
  local before$n, after$n = old[$at] or false, new[$field]
  if after$n == nil then
    after$n = keeps and before$n
  end
  --end
  --each tracked, ending
  changed = changed or after$n ~= before$n
  --end
  --each unique, ending
  renoted = renoted or after$n ~= before$n
  --end
  --each digests, ending
  renoted = renoted or after$n ~= before$n
  --end
  --each range, ending
  renoted = renoted or not after$n ~= not before$n -- a note tells no score
  --end
  --each unique
  local owned$n = before$n and before$n ~= after$n and call('HGET', $unique, before$n) == id
  if after$n and after$n ~= before$n then
    local holder = call('HGET', $unique, after$n)
    if holder and holder ~= id and holds_value(base .. ':' .. holder, $field, after$n) then $over
      if $lives then
        return {'UNIQUE', 1, holder, $field}
      end
    end
  end
  --end

  --each whole, fenced
  local epoch = ARGV[$FAST_SIZE + 1] ~= '' and (call('HGET', base .. '/e', ARGV[$FAST_SIZE + 2]) or '0')
  if epoch and epoch ~= ARGV[$FAST_SIZE + 1] then -- as fence.lua has it
    local wants = {1, epoch}
  --end
    --each unique, fenced
    if after$n then
      wants[#wants + 1], wants[#wants + 2] = $field, after$n
    end
    --end
  --each whole, fenced
    return {'CLAIM', 1, wants}
  end
  --end

  --each digests
  local stem$n, digest$n = base .. '/x/' .. $field .. '/', nil
  if before$n and before$n ~= after$n and #before$n > $LONG_VALUE then
    digest$n = call('HGET', $digests, id)
  end
  --end

  --each lasts
  local lasts = $lasts
  if lasts then -- whether the server takes it: meta has no such field
    call('HPEXPIRE', KEYS[1], '1', 'FIELDS', '1', $MARKER)
  end
  --end

  -- what is added before the hash: if the server stops here, it is too much, and harms nobody
  --each whole, ends
  if not exists then -- what was left of one that is over goes first
    local entered = wanted and call('ZADD', $moments, wanted, id)
    if entered == 0 or not wanted and call('ZSCORE', $moments, id) then
      $over
      bury(base, id, $collections_of)
    end
    if entered == 0 then
      call('ZADD', $moments, wanted, id)
    end
  end
  --end
  --each whole, ends
  if mode == 'd' then -- nothing is left that ends
    wanted, ends, left = nil, 'p', -1
  end
  --end
  --each ends
  -- the moment and the note go first: if the server stops here, what comes behind them is taken away when it is over
  local noting = wanted and not exists
  if wanted and exists then
    noting = call('ZADD', $moments, wanted, id) == 1 or renoted
  elseif ends == 'p' and exists then -- changes nothing, and tells whether they may go once the hash is written
    call('ZSCORE', $moments, id)
    call('HGET', $notes, id)
  elseif left >= 0 and changed then
    noting = renoted
    if not call('ZSCORE', $moments, id) then -- somebody else gave it an end
      noting = true
      $over
      call('ZADD', $moments, now + left, id)
    end
  end
  --end
  --each plain, ends
  if noting then
    local class = $class
    $noting
    local note = noted(class, id, read_tracked(class, key))
    if note ~= '' then
      call('HSET', $notes, id, note)
    end
  end
  --end
  --each whole, ends
  if noting then -- as noted.lua does
  --end
    --each digests, ending
    local entry$n = after$n and $x_note .. after$n
    if after$n and #after$n > $LONG_VALUE then
      entry$n = $y_note .. (extras[$field] or call('HGET', $digests, id) or '')
    end
    --end
    --each whole, ends
    local note = ''
    --end
    --each unique, ending
      .. (after$n and $u_note .. #after$n .. ':' .. after$n or '')
    --end
    --each digests, ending
      .. (entry$n and 's' .. #entry$n .. ':' .. entry$n or '')
      .. (after$n and #after$n > $LONG_VALUE and $h_note or '')
    --end
    --each range, ending
      .. (after$n and $r_note or '')
    --end
    --each none, ending
      .. (after$n and '' or $n_note)
    --end
  --each whole, ends
    if note ~= '' then
      call('HSET', $notes, id, note)
    end
  end
  --end
  --each digests
  if after$n and after$n ~= before$n then
    call('SADD', #after$n <= $LONG_VALUE and stem$n .. after$n or base .. '/y/' .. $field .. '/' .. extras[$field], id)
    if #after$n > $LONG_VALUE then
      call('HSET', $digests, id, extras[$field])
    end
  end
  --end
  --each range
  if after$n and after$n ~= before$n then
    if before$n then -- changes nothing, and tells whether the score may be replaced once the hash is written
      call('ZADD', $range, 'NX', extras[$field] or after$n, id)
    else
      call('ZADD', $range, extras[$field] or after$n, id)
    end
  end
  --end
  --each none
  if not after$n and (before$n or not exists) and mode ~= 'd' then
    call('SADD', $none, id)
  end
  --end
  --each whole
  if not exists and mode ~= 'd' then
    call('ZADD', KEYS[2], '0', id)
  end
  --end
  --each whole, collections
  if not exists and mode ~= 'd' then -- a new record has nothing of one that went without the library
    call('UNLINK', $collections)
  end
  --end

  -- the hash
  --each whole
  if mode == 'd' then
    call('UNLINK', key$with_it)
  end
  if last_pair > first_pair then
    if last_extra < #ARGV then -- changes nothing, and tells whether fields may be dropped once others are set
      call('HDEL', KEYS[1], $MARKER)
    end
    call('HSET', key, unpack(ARGV, first_pair, last_pair))
  end
  --end
  --each plain
  call('HSET', key, unpack(ARGV, $PLAIN_SIZE + $first))
  --end
  --each plain, passing_marker
  if ARGV[$PLAIN_DECLARED] == '1' then
    call('HDEL', key, $MARKER)
  end
  --end
  --each whole, marker
  if not declared and mode ~= 'd' then -- a record that would hold no declared field holds the marker
    local holds = exists and last_extra == #ARGV
    local fields = exists and not holds and {$declared} or {}
    for i, value in ipairs(#fields > 0 and call('HMGET', key, unpack(fields)) or {}) do
      holds = holds or value and new[fields[i]] ~= false
    end
    if not holds then
      call('HSET', key, $MARKER, '1')
    end
  end
  --end
  --each whole
  if exists and last_extra < #ARGV then
    call('HDEL', key, unpack(ARGV, last_extra + 1))
  end
  --end
  --each lasts
  if lasts then -- see fields_ended.lua
    call('HSET', key, $MARKER, '1')
  end
  --end
  --each lasting
  if new[$field] then
    call('HPEXPIRE', key, $ttl, 'FIELDS', '1', $field)
  end
  --end

  -- what takes the place of something else: it cannot fail any more
  --each unique
  if after$n and after$n ~= before$n then
    call('HSET', $unique, after$n, id)
  end
  --end
  --each range
  if after$n and before$n and after$n ~= before$n then
    call('ZADD', $range, extras[$field] or after$n, id)
  end
  --end

  -- what is no longer true, as leave.lua has it: to build that function here would be 3 % of a call, too
  --each whole
  local try, gone, refused = redis.pcall, nil, nil
  --end
  --each whole, passing_marker
  if declared and old[1] then
    gone = try('HDEL', key, $MARKER)
    refused = gone ~= 0 and gone ~= 1 and gone or refused
  end
  --end
  --each unique
  if owned$n then
    gone = try('HDEL', $unique, before$n)
    refused = gone ~= 0 and gone ~= 1 and gone or refused
  end
  --end
  --each digests
  if before$n and before$n ~= after$n then
    if #before$n <= $LONG_VALUE then
      gone = try('SREM', stem$n .. before$n, id)
      refused = gone ~= 0 and gone ~= 1 and gone or refused
    elseif digest$n and digest$n ~= extras[$field] then
      gone = try('SREM', base .. '/y/' .. $field .. '/' .. digest$n, id)
      refused = gone ~= 0 and gone ~= 1 and gone or refused
    end
    if digest$n and not (after$n and #after$n > $LONG_VALUE) then
      gone = try('HDEL', $digests, id)
      refused = gone ~= 0 and gone ~= 1 and gone or refused
    end
  end
  --end
  --each range
  if before$n and not after$n then
    gone = try('ZREM', $range, id)
    refused = gone ~= 0 and gone ~= 1 and gone or refused
  end
  --end
  --each none
  if not before$n and (after$n and exists or mode == 'd') then
    gone = try('SREM', $none, id)
    refused = gone ~= 0 and gone ~= 1 and gone or refused
  end
  --end
  --each whole
  if mode == 'd' then
    gone = try('ZREM', KEYS[2], id)
    refused = gone ~= 0 and gone ~= 1 and gone or refused
  end
  --end

  -- the end of the record
  --each ends
  if ends == 'p' and exists then -- somebody else may have taken it from the key already
    if left >= 0 then
      call('PERSIST', key)
    end
    call('ZREM', $moments, id)
    call('HDEL', $notes, id)
  end
  --end
  --each ends
  if wanted then
    call('PEXPIREAT', key, wanted)
  end
  if wanted and (how == 'a' or number < 100) and call('EXISTS', key) == 0 then -- that moment is past
    $over
    bury(base, id, $collections_of)
  end
  --end
  --each whole, ends
  if now and not exists and time[2] % 4 == 0 then -- one of four looks what is due, for all of them
    local due = call('ZCOUNT', $moments, '-inf', '(' .. now)
    if due > 0 then
      $over
      sweep(base, share(due, 4), $collections_of)
    end
  end
  --end
  --each whole
  if refused and not string.find(tostring(refused.err), 'WRONGTYPE', 1, true) then
    return refused
  end
  local there = exists and 1 or 0
  return {'OK', mode == 'd' and there or 1 - there}
  --end
  --each plain
  return {'OK', 0}
  --end
end
