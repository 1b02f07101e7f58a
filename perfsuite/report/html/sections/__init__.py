"""The sections of the page, one file each; `table.py` has their order."""
