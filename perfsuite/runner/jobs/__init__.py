"""The four kinds of job, each a function from what a worker is told to a line of the journal."""
