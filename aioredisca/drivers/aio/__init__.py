"""Transports of event loops: the multiplexer, the pool, and the cache that the server keeps right."""
