"""How calls reach a server: databases, addresses, transports of both colours. redis-py is used here only."""
