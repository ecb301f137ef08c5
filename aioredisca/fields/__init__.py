"""What a class body holds: fields and collections, their codecs, and conditions on them."""
