"""Feeds of changes: what asks for entries, and what they say."""
