"""Stores as an older version of the library left them, and what makes them."""
