"""A model in pieces: the modules of its stages run on an engine, the code between in PyTorch."""
