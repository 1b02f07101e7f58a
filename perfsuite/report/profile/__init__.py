"""Breakdowns of a profiled run, as a tree, as Markdown, and as a trace."""
