"""Nets and nothing else: each file builds one family of torch modules."""
