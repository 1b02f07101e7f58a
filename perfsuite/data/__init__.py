"""Data sets and seeded generators, verified by content."""
