"""One file a library: what of it was seen to run."""
