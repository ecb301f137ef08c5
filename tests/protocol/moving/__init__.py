"""How records move into other partitions while they are written, checked as a model: docs/storage.md tells it.

Every interleaving of a writer, of one or two who move the records, and of one who undoes that: two records in one place,
which come to two places; one step is one script. Whoever moves them may stop for ever at any step, or stand still and go
on when others have gone on. That a unique holds over places is taken for granted: tests/protocol/claims shows it.
"""
