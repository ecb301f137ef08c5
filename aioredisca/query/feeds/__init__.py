"""Reading the feed of a class, and queries that are told what changes in them."""
