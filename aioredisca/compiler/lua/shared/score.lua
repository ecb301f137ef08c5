-- needs:
-- gives: score_text
-- A score as exact text. It is that already, but on Dragonfly, whose scripts get numbers.

local function score_text(score)
  return type(score) == 'number' and string.format('%.17g', score) or score
end
