"""Programs that show the library at work: README.md tells of them."""
