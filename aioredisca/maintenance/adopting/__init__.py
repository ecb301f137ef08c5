"""A model file for hashes that others wrote: sampled, grouped by prefix, guessed at, proposed."""
