"""Writing a report to a file."""

from __future__ import annotations

from pathlib import Path

from perfsuite.errors import ConfigError

PAGE = "report.html"  # in a run's folder


def write_report(file: Path, text: str) -> None:
    """Write a report, and the folders above it; raise `ConfigError` where it cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from error
