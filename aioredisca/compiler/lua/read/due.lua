-- needs: now, KINDS, take_number
-- gives: MOMENTS
-- Two kinds of leaf more, of classes whose records end. The records that are over (D) stand last in the tree, negated.
-- A range of moments (M) is one of scores, from now on: what is over need not be looked at.

local MOMENTS

KINDS.D = {
  enumerate = KINDS.Z.enumerate, test = 2, size = KINDS.Z.size, all = KINDS.Z.all, holds = KINDS.Z.holds,
  read = function(leaf)
    leaf.key, leaf.low, leaf.high = KEYS[take_number()], '-inf', '(' .. now
    leaf.from, leaf.to, leaf.short = -math.huge, now, true
    MOMENTS = leaf.key
  end,
}

KINDS.M = {
  read = function(leaf)
    leaf.kind = 'Z'
    KINDS.Z.read(leaf)
    if leaf.from < now then
      leaf.low, leaf.from, leaf.past = tostring(now), now, false
    end
  end,
}
