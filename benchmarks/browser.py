"""The system's Chromium without a window, for tests of pages, their speed and their pictures.

Playwright, of the extra `dev`, drives it. No browser is fetched: Debian's own is kept up to date.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# The smallest first: Debian's shell of Chromium has no windows.
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


class NoBrowser(Exception):
    """There is no browser here; the message says what is missing and how to get it."""


@contextmanager
def browser() -> Iterator[Browser]:
    """Open the system's Chromium and close it at the end.

    Raises `NoBrowser` where there is none, or nothing to drive it with.
    """
    program = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if program is None:
        raise NoBrowser(
            "no Chromium is installed; on Debian: apt-get install chromium-headless-shell"
        )
    if find_spec("playwright") is None:
        raise NoBrowser("playwright is not installed; install it with: pip install playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver, driver.chromium.launch(executable_path=program) as found:
        yield found
