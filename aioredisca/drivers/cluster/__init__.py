"""Clusters: which node serves which slot, which redis-py asks, and how calls get there.

``slots``     what a call says of its slot, and what guards a script while that slot moves. Pure.
``topology``  who serves what, as redis-py's cluster code reads it.
``routing``   each call to its node, and on to another when that says so: for both colours.
``aio``, ``blocking``  what they do in their own ways.
"""
