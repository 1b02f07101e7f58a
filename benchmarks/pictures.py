"""Pictures for the README: the top of a run's page, and a breakdown in it.

    python benchmarks/pictures.py RUN [FOLDER]      or: make pictures, after make demo

Opens the page of RUN in the system's Chromium and writes `page.webp` and `breakdown.webp` into
FOLDER, by default `docs/pictures`. Exits with 1 where they are larger than a README should load.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from browser import NoBrowser, browser
from PIL import Image

from perfsuite import api
from perfsuite.errors import PerfsuiteError

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTH, HEIGHT = 1200, 900  # CSS pixels; a README shows pictures about 850 wide
MARGIN = 16
LIMIT_BYTES = 300_000


def pictures(page: Page) -> dict[str, bytes]:
    """Return the pictures of an open page as PNGs, by name; no breakdown where it has none."""
    found = {"page": page.screenshot()}
    breakdown = page.locator("#stages figure").first
    if breakdown.count():
        breakdown.scroll_into_view_if_needed()
        page.locator("#stages .plot[data-drawn]").first.wait_for()
        box = breakdown.bounding_box()
        assert box
        found["breakdown"] = page.screenshot(
            clip={
                "x": box["x"] - MARGIN,
                "y": box["y"] - MARGIN,
                "width": box["width"] + 2 * MARGIN,
                "height": box["height"] + MARGIN,
            }
        )
    return found


def stored(png: bytes, file: Path) -> int:
    """Write the picture into `file` as WebP, without a loss; return its bytes."""
    Image.open(io.BytesIO(png)).convert("RGB").save(file, "WEBP", lossless=True, method=6)
    return file.stat().st_size


def main() -> int:
    """Make the pictures; return the exit code."""
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} RUN [FOLDER]")
    run = Path(sys.argv[1])
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path("docs/pictures")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made, browser() as chromium:
        file = Path(made) / "page.html"
        file.write_text(api.report(run, "html"), encoding="utf-8")
        page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(file.as_uri())
        sizes = {name: stored(png, folder / f"{name}.webp") for name, png in pictures(page).items()}
    for name, size in sizes.items():
        print(f"{folder / name}.webp: {size / 1e3:.0f} kB")
    return int(sum(sizes.values()) > LIMIT_BYTES)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (NoBrowser, PerfsuiteError) as error:
        sys.exit(f"error: {error}")
