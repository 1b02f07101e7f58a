"""One file a pass, and a table of them."""
