"""The formats of reports by name, and rendering by any format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from perfsuite import plugins
from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import Run
from perfsuite.errors import ConfigError
from perfsuite.report.formats.csv import Csv
from perfsuite.report.formats.html import Html
from perfsuite.report.formats.json import Json
from perfsuite.report.formats.markdown import Markdown
from perfsuite.user_code import user_code


class Format(Protocol):
    """A format for judged runs; `perfsuite list` shows the first line of its docstring."""

    suffix: str  # of the files that hold it, such as ".md"

    def render(self, run: Run, judgement: Judgement) -> str:
        """Return the whole text."""


FORMATS: dict[str, Callable[[], Format]] = {
    "csv": Csv,
    "html": Html,
    "json": Json,
    "md": Markdown,
}


def format_of_file(path: Path | None) -> str:
    """Return the name of the format whose files end as `path` does; Markdown if there is no file.

    Raises `ConfigError`, with all endings, for one that no format has.
    """
    if path is None:
        return "md"
    endings = {make().suffix: name for name, make in FORMATS.items()}
    if path.suffix not in endings:
        known = ", ".join(f"{suffix} ({name})" for suffix, name in endings.items())
        raise ConfigError(
            f"{path}: no format has files that end like this; end it in one of {known}, or name "
            f"the format: --format F"
        )
    return endings[path.suffix]


def render(
    run: Run,
    judgement: Judgement,
    reference: str,
    folder: Path | None = None,
    baseline: Run | None = None,
) -> str:
    """Return the run and its verdicts in the format of a table's name or of a plug-in.

    The page also shows what lies in the run's `folder`, and how it differs from the `baseline` that
    it is held against. A plug-in may be a format or its class. Raises `ConfigError` for an unknown
    name, and if the code of a plug-in fails.
    """
    found = plugins.load("format", reference, FORMATS)
    with user_code(f"format '{reference}': writing the report", ConfigError):
        made = _format(found, reference)
        if isinstance(made, Html):
            made = Html(folder, baseline)
        text = made.render(run, judgement)
    if not isinstance(text, str):
        raise ConfigError(
            f"format '{reference}': render() gave {type(text).__name__}; it must return a str"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"format '{reference}': render() gave a text that cannot be written: {error}"
        ) from error
    return text


def _format(found: Any, reference: str) -> Any:
    """Return the format `found`, or an instance of it if it is a class."""
    made = found() if isinstance(found, type) else found
    if not callable(getattr(made, "render", None)):
        raise ConfigError(
            f"format '{reference}': {type(made).__name__} has no render(run, judgement)"
        )
    return made
