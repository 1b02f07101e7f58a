"""Suites: read from TOML, resolved, checked, and expanded to cells."""

from perfsuite.config.checking import check, make_pass
from perfsuite.config.expansion import cells, check_budgets, expects, match, requires
from perfsuite.config.reading import read_suite

__all__ = [
    "cells",
    "check",
    "check_budgets",
    "expects",
    "make_pass",
    "match",
    "read_suite",
    "requires",
]
