"""What other mappers have written, for the tests of adoption: see make_dumps.py."""
