"""In blocking code."""
