-- Reads and judges all groups of the batch.

for _, g in ipairs(groups) do
  local refusal = prepare(g)
  if refusal then
    return refusal
  end
end
