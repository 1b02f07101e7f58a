"""Workloads: models with their tasks and weights, by name."""
