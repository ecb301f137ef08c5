"""Check and repair: what is wrong with what a store keeps of a class, and what mends it."""
