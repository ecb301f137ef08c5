-- needs: call
-- gives:
-- Ends all writing under a prefix, and keeps another one free for what is to come from there: no version of a class
-- may write to either, for it does not keep the entry that is ready there.
--
-- KEYS   meta of the prefix, and of the other one, if there is one
-- ARGV   the run FINISH of positions.py (the new word, what layout 1 finds in the place of its signature, the entry of
--        each), then the entries with their states that a meta of layout 1 stands for
-- reply  {'OK'}
for n = 1, #KEYS do
  local meta = KEYS[n]
  local held = call('HGETALL', meta)
  for i = 1, #held, 2 do
    if string.sub(held[i], 1, 2) == 'w:' then
      call('HDEL', meta, held[i])
    end
  end
  for i = $FINISH_SIZE + 1, n == 1 and call('HGET', meta, 'ver') == false and #ARGV or 0, 2 do
    call('HSET', meta, 'e:' .. ARGV[i], ARGV[i + 1])
  end
  call('HDEL', meta, 'unbuilt')
  local mark = n == 1 and ARGV[$FINISH_GONE] or ARGV[$FINISH_COMING]
  call('HSET', meta, 'e:' .. mark, 'ready', 'signature', ARGV[$FINISH_SIGNATURE], 'ver', ARGV[$FINISH_WORD])
end
return {'OK'}
