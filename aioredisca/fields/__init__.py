"""What a class body holds."""
