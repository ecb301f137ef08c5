"""The protocol by which indexes change while processes of several versions write and read, checked as a model.

Every interleaving of a few processes is tried, breadth-first, within a small scope: two ids, a few contents of
a record, and some writes, questions, crashes and failovers. One step is one command or one Lua script. The
model is the design, not the Lua: where the two differ, the tests on real servers decide.
"""
