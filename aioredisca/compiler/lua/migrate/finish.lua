-- needs: call
-- gives:
-- Ends all writing under a prefix, and keeps another one free for what is to come from there: no version of a class
-- may write to either. What was kept there is remembered, for whoever is to take it away.
--
-- KEYS   meta of the prefix, and of the other one, if there is one
-- ARGV   what takes the place of the signature, in each; 8 random characters
-- reply  {'OK'}
for n = 1, #KEYS do
  local held = call('HGETALL', KEYS[n])
  for i = 1, #held, 2 do
    local name = held[i]
    if string.sub(name, 1, 2) == 'w:' then
      call('HSET', KEYS[n], name, 'x')
    elseif name == 'signature' and string.sub(held[i + 1], 1, 3) ~= '2/!' then
      call('HSET', KEYS[n], 'ended', held[i + 1])
    end
  end
  call('HSET', KEYS[n], 'signature', ARGV[n], 'ver', ARGV[#ARGV])
end
return {'OK'}
