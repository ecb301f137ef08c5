"""The protocol by which uniques hold over all partitions, checked as a model: docs/storage.md tells it.

Every interleaving of a few writers is tried: two or three ids, each in a partition of its own, as every value is; one
step is one script. Writers may stop for ever at any step, requests may arrive once more, records may end, a clock may
step back, and a node may fall back to what its replica had.
"""
