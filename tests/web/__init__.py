"""Tests of the web faces, with the real frameworks and, where it matters, the real servers."""
