"""The journal of a run, and the content-addressed cache."""
