"""A model in pieces: its stages' modules on an engine, the glue in PyTorch."""
