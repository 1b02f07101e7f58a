"""A profiled run: where the time of its calls goes, as a tree, as Markdown, as a trace."""
