"""Conditions and changes -> script calls; replies -> rows and outcomes. Pure."""
