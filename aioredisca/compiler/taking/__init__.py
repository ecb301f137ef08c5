"""Calls that choose records by a query and change them at once."""
