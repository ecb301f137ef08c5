-- needs: call, permit_refusal
-- gives:
-- Works on a collection of a record, if there is that record: one command, or several.
--
-- KEYS   meta, the record, the collection
-- ARGV   permit, then per command: its name, how many arguments follow behind its key, and these
-- reply  {'OK', {what each command answers}}, or a refusal with nothing written: {'SCHEMA', 1, permit}
--        {'GONE', 1}

local refusal, permit = permit_refusal(KEYS[1], ARGV[$COLLECT_PERMIT], 1)
if refusal then
  return refusal
end
if call('EXISTS', KEYS[2]) == 0 then
  return {'GONE', 1}
end
if permit == 'm' then -- see permit.lua
  call('ZADD', string.sub(KEYS[1], 1, -5) .. 'd', 'INCR', '1', string.sub(KEYS[2], #KEYS[1] - 3))
end

local function behind(at)
  return at + 2 + tonumber(ARGV[at + 1])
end

local function run(at)
  if ARGV[at] == 'LSET' and not call('LINDEX', KEYS[3], ARGV[at + 2]) then
    return false -- there is no such place, of which LSET makes an error
  end
  return call(ARGV[at], KEYS[3], unpack(ARGV, at + 2, behind(at) - 1))
end

local at, answers = $COLLECT_SIZE + 1, {}
if redis.acl_check_cmd and behind(at) <= #ARGV then
  local asked = at
  while asked <= #ARGV do
    local known, allowed = pcall(redis.acl_check_cmd, ARGV[asked], KEYS[3])
    if known and not allowed then
      run(asked) -- which is refused, while nothing is written yet
    end
    asked = behind(asked)
  end
end
while at <= #ARGV do
  answers[#answers + 1] = run(at)
  at = behind(at)
end
return {'OK', answers}
