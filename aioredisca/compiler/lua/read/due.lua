-- needs: now, KINDS, take_number
-- gives:
-- One kind of leaf more, of classes whose records end: the records that are over. It stands last in the tree, negated.

KINDS.D = {
  enumerate = KINDS.Z.enumerate, test = 2, size = KINDS.Z.size, all = KINDS.Z.all, holds = KINDS.Z.holds,
  read = function(leaf)
    leaf.key, leaf.low, leaf.high = KEYS[take_number()], '-inf', '(' .. now
    leaf.from, leaf.to, leaf.short = -math.huge, now, true
  end,
}
