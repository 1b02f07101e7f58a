"""The libraries that engines use: which ones are loaded, and the versions that they report."""
