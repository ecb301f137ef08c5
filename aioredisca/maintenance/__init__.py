"""Keeping what is stored in order while it is used: building, checking, mending, moving in and out."""
