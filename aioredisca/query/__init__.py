"""Asking: columns make conditions, queries hold them, scans carry them out."""
