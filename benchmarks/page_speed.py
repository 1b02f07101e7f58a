"""How long the HTML page of a large run takes to be made and to answer its reader.

    python benchmarks/page_speed.py [RUN]

Without RUN, a made-up one of 200 cells with 8 processes of 200 samples. Prints the seconds in
which the run is read, judged and written as a page, the size of the page, and the seconds from
opening it in the system's Chromium until a click on the head of a column has sorted a table, the
median of five openings. Exits with 1 where one of them is over its limit. Leave the machine alone
meanwhile.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from browser import NoBrowser, browser
from page_run import write_run

from perfsuite import api
from perfsuite.report import render

WRITTEN_S, SIZE_MB, ANSWERS_S = 5.0, 6.0, 2.0
OPENINGS = 5


def timed(what: Callable[[], Any]) -> tuple[Any, float]:
    """Return what `what` returns, and the seconds that it took."""
    began = time.perf_counter()
    found = what()
    return found, time.perf_counter() - began


def answered_s(page: Path) -> float:
    """Return the median of the seconds until the page has sorted a table for its reader."""
    with browser() as chromium:
        return statistics.median(_opened_s(chromium, page) for _ in range(OPENINGS))


def _opened_s(chromium: Any, page: Path) -> float:
    tab = chromium.new_page()
    began = time.perf_counter()
    tab.goto(page.as_uri())
    head = tab.locator("th[aria-sort] button, th button").first
    head.click()
    tab.locator("th[aria-sort=ascending], th[aria-sort=descending]").first.wait_for()
    took_s = time.perf_counter() - began
    tab.close()
    return took_s


def main() -> int:
    """Measure, print, and return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(sys.argv[1]) if len(sys.argv) > 1 else write_run(Path(folder) / "run")
        page = Path(folder) / "page.html"
        shown, read_s = timed(lambda: api.show(run))
        text, made_s = timed(lambda: render(shown.run, shown.judgement, "html"))
        _, stored_s = timed(lambda: page.write_text(text))
        written_s, size_mb = read_s + made_s + stored_s, page.stat().st_size / 1e6
        print(
            f"{len(shown.run.header.cells)} cells: written in {written_s:.2f} s (read and judged "
            f"in {read_s:.2f} s, made in {made_s:.2f} s; limit {WRITTEN_S:g} s)"
        )
        print(f"{size_mb:.2f} MB (limit {SIZE_MB:g} MB)")
        try:
            answers_s = answered_s(page)
        except NoBrowser as missing:
            print(f"not opened: {missing}")
            answers_s = 0.0
        else:
            print(f"answers within {answers_s:.2f} s of being opened (limit {ANSWERS_S:g} s)")
    return int(written_s > WRITTEN_S or size_mb > SIZE_MB or answers_s > ANSWERS_S)


if __name__ == "__main__":
    sys.exit(main())
