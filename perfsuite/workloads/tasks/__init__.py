"""Tasks of models: their test rows and metrics."""
