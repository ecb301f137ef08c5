-- needs:
-- gives: sortable
-- A text as it stands in an index of texts: NUL ends it, so it holds none itself, and keeps its order.

local function sortable(text)
  return (string.gsub(string.gsub(text, '\1', '\1\2'), '%z', '\1\1'))
end
