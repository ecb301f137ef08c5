"""The transport of blocking code: a pool of connections, one round trip at a time."""
