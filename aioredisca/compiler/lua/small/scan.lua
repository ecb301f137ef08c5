-- needs: call
-- gives:
-- A page of the keys of a node. A command of its own it names no key, so that no node refuses it while the slot
-- of what is looked for is on its way, and half of that is elsewhere. Writes nothing.
--
-- KEYS   in the slot of what is looked for
-- ARGV   the cursor, and what else SCAN takes
-- reply  that of SCAN

return call('SCAN', unpack(ARGV))
