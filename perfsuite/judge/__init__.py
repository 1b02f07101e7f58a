"""Intervals, budgets, verdicts: pure functions of records."""
