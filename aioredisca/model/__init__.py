"""Records, their classes and sessions."""
