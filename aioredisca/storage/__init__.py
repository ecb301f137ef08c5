"""How a class lies in Redis: keys, hash fields, indexes, value <-> text. Pure."""
