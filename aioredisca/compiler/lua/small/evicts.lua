-- needs: eviction_policy
-- gives:
-- Whether the server may throw away keys of the library. Writes nothing.
--
-- KEYS   one, for servers that want one of every script; it is not looked at
-- reply  the policy, or ''

return eviction_policy()
