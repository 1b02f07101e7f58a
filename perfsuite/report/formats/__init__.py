"""The formats of reports, one file each."""
