"""The training loop that workloads and passes share."""
