"""Asks: columns make conditions, queries run them."""
