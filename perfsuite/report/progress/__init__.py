"""The progress of runs and downloads on a terminal."""
