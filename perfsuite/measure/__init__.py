"""Measurements: latency, accuracy, memory, MACs, where the time of a call goes; the environment."""
