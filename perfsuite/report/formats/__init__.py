"""One file a format of reports."""
