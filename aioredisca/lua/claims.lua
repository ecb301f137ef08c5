-- Writes the claims that were judged.

for _, one in ipairs(claims) do
  send('HDEL', one.key, one.owned, 1, #one.owned)
  send('HSET', one.key, one.pairs, 1, #one.pairs)
end
