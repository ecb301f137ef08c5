"""Two versions of a model in processes of their own: what they declare, write and ask, and who judges it."""
