-- needs: eviction_policy
-- gives:
-- Whether the server may throw away keys of the library. Writes nothing.
--
-- reply  the policy, or ''

return eviction_policy()
