"""Stored runs in the browser: an index of a folder's runs, and the page of each."""
