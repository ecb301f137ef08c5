"""Benchmarks: contenders side by side, in turns, against one server. ``python -m benchmarks --help``."""
