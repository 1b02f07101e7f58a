"""One file an engine, and a table of them."""
