"""One browser for all tests of pages, and pages that are watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.browser import NoBrowser, browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE_MS = 10_000  # for what never comes; what comes, comes sooner
DESKTOP, PHONE = (1280, 800), (360, 740)


class Watched:
    """An open page, what it has said on the console, and what it has asked the network for."""

    def __init__(self, page: Page) -> None:
        self.page, self.said, self.asked = page, list[str](), list[str]()
        page.on("console", lambda one: self.said.append(f"{one.type}: {one.text}"))
        page.on("pageerror", lambda one: self.said.append(f"error: {one}"))
        page.on("dialog", lambda one: self._opened(one))
        page.on("request", lambda one: self.asked.append(one.url))

    def _opened(self, dialog: Any) -> None:
        self.said.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    @property
    def from_elsewhere(self) -> list[str]:
        """Return what it asked for beside itself: of a server, beside pages of the same one."""
        here = self.page.url.partition("#")[0]
        served = here.startswith("http:")
        own = ("data:", "blob:", "/".join(here.split("/")[:3]) + "/" if served else here)
        return [one for one in self.asked if not one.startswith(own)]


Open = Callable[..., Watched]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Give the browser; where there is none, skip, with what is missing."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(browser())
        except NoBrowser as missing:
            pytest.skip(str(missing))
        yield found


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """Give what opens a file or an address; the page must end without a word and a request."""
    opened: list[Watched] = []
    with ExitStack() as stack:

        def opening(
            what: Path | str,
            size: tuple[int, int] = DESKTOP,
            *,
            dark: bool = False,
            before: str = "",
            **more: Any,
        ) -> Watched:
            context = stack.enter_context(
                chromium.new_context(
                    viewport={"width": size[0], "height": size[1]},
                    color_scheme="dark" if dark else "light",
                    **more,
                )
            )
            context.set_default_timeout(PATIENCE_MS)
            watched = Watched(context.new_page())
            if before:
                watched.page.add_init_script(before)
            opened.append(watched)
            watched.page.goto(what.as_uri() if isinstance(what, Path) else what)
            return watched

        yield opening
        for one in opened:
            assert one.said == []
            assert one.from_elsewhere == []
