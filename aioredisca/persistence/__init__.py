"""Carries out changes: prepared, sent as one call, finished or put back."""
