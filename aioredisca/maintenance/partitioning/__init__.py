"""Moving the records of a class into another number of partitions, or back into one place."""
