"""Nets: each file builds one family of torch modules."""
