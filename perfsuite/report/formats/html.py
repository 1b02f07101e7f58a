"""HTML: one file with everything, for a browser."""

from __future__ import annotations

from pathlib import Path

from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import Run
from perfsuite.errors import PerfsuiteError
from perfsuite.judge import compare
from perfsuite.store.runs import load_run


class Html:
    """A page with plots and tables that opens from disk, for people."""

    suffix = ".html"

    def __init__(self, folder: Path | None = None, baseline: Run | None = None) -> None:
        self.folder = folder
        self.baseline = baseline

    def render(self, run: Run, judgement: Judgement) -> str:
        """Return the whole document."""
        from perfsuite.report.html.page import Page, page_html

        before = self.baseline or _measured_beside(run)
        comparison = None if before is None else compare(before, run)
        return page_html(Page(run, judgement, self.folder, comparison))


def _measured_beside(run: Run) -> Run | None:
    """Return the baseline of the run; None without one, or where it cannot be read any more.

    That it cannot is among the warnings of the judgement.
    """
    try:
        return load_run(Path(run.header.baseline)) if run.header.baseline else None
    except PerfsuiteError:
        return None
