"""The four kinds of job, each a function from a `Job` to a line of the journal."""
