"""HTML: one file with everything, for a browser."""

from __future__ import annotations

from pathlib import Path

from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import Run


class Html:
    """A page with plots and tables that opens from disk, for people."""

    suffix = ".html"

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    def of_folder(self, folder: Path) -> Html:
        """Return the format for the run that lies in `folder`, whose side files it shows, too."""
        return Html(folder)

    def render(self, run: Run, judgement: Judgement) -> str:
        """Return the whole document."""
        from perfsuite.report.html.page import Page, page_html

        return page_html(Page(run, judgement, self.folder))
