"""What models are for: their rows and metrics."""
