"""What was found and judged, for people and for programs. Nothing here measures."""

from __future__ import annotations

from collections.abc import Callable

from perfsuite.domain.record import Run
from perfsuite.domain.verdict import Judgement
from perfsuite.errors import ConfigError
from perfsuite.judge import Comparison
from perfsuite.plugins import suggestion
from perfsuite.report.cell_rows import CellRow, rows
from perfsuite.report.formats import csv, json, markdown
from perfsuite.report.profile_view import print_profile, profile_document, write_profile
from perfsuite.report.terminal import print_comparison, print_run, print_verdicts

_Format = tuple[Callable[[Run, Judgement], str], Callable[[Comparison], str]]

# A format's name to its way of one run, and of two compared.
FORMATS: dict[str, _Format] = {
    "csv": (csv.render, csv.render_comparison),
    "json": (json.render, json.render_comparison),
    "md": (markdown.render, markdown.render_comparison),
}

__all__ = [
    "FORMATS",
    "CellRow",
    "print_comparison",
    "print_profile",
    "print_run",
    "print_verdicts",
    "profile_document",
    "render",
    "render_comparison",
    "rows",
    "write_profile",
]


def render(run: Run, judgement: Judgement, format: str) -> str:
    """Return the run and its verdicts in one of `FORMATS`; `ConfigError` for another."""
    return _format(format)[0](run, judgement)


def render_comparison(comparison: Comparison, format: str) -> str:
    """Return two runs compared in one of `FORMATS`; `ConfigError` for another."""
    return _format(format)[1](comparison)


def _format(name: str) -> _Format:
    if name not in FORMATS:
        raise ConfigError(f"unknown format '{name}'{suggestion(name, FORMATS)}")
    return FORMATS[name]
