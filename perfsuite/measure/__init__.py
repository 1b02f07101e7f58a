"""Clocks, latency, accuracy, memory, environment: numbers, and nothing else."""
