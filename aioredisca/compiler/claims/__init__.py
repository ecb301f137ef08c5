"""Uniques of a class with partitions, which hold over all of these: docs/storage.md. Pure."""
