"""A table of workloads: which model, which task, which weights."""
