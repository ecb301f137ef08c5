-- Writes the claims that were judged.

for _, one in ipairs(claims) do
  send('HDEL', one.key, one.owned, 1, #one.owned)
  local count = 0
  for value, id in pairs(one.claimed) do
    entered[count + 1], entered[count + 2] = value, id
    count = count + 2
  end
  send('HSET', one.key, entered, 1, count)
end
