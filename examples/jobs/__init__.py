"""A queue of jobs on one model."""
