"""The pages that `perfsuite serve` answers with, as a WSGI application (PEP 3333)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from perfsuite import api
from perfsuite.errors import PerfsuiteError
from perfsuite.serve.found import Index, runs_in
from perfsuite.serve.pages import RUN, index_page, message_page

# Whoever makes a browser look up a name of theirs as 127.0.0.1 still asks by that name.
HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
# What pages may do: nothing is loaded from anywhere, nothing is sent, and no other page frames one.
# Every page is one file, so that its own styles and scripts stand in it.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-store"),  # a run may still be measured
]

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


class _Answer(NamedTuple):
    status: str
    page: str
    more: tuple[tuple[str, str], ...] = ()


class Application:
    """Answers with the index of a folder's runs at `/`, and with the page of a run below `/run/`.

    It only reads, and only runs that `runs_in` finds: no part of an address ever becomes a path.
    """

    def __init__(self, folder: Path) -> None:
        self.index = Index(folder)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        answer = self._answer(environ)
        body = answer.page.encode("utf-8", "replace")
        start_response(answer.status, [*HEADERS, *answer.more, ("Content-Length", str(len(body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _answer(self, environ: Environ) -> _Answer:
        if not _is_here(environ.get("HTTP_HOST", "")):
            return _Answer(
                "403 Forbidden",
                message_page("Not here", "This server answers to localhost and 127.0.0.1 alone."),
            )
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _Answer(
                "405 Method Not Allowed",
                message_page("Only read", "Nothing can be changed here."),
                (("Allow", "GET, HEAD"),),
            )
        # WSGI gives the bytes of the path as Latin-1; a folder's name may have any bytes.
        path = os.fsdecode(environ.get("PATH_INFO", "").encode("latin-1"))
        try:
            if path == "/":
                return self._index()
            folder = runs_in(self.index.folder).get(path.removeprefix(RUN))
            if path.startswith(RUN) and folder is not None:
                return _Answer("200 OK", api.report(folder, "html"))
        except PerfsuiteError as error:
            title = "This run cannot be shown" if path != "/" else "These runs cannot be shown"
            return _Answer("500 Internal Server Error", message_page(title, str(error)))
        return _Answer("404 Not Found", message_page("Not found", "There is no such run here."))

    def _index(self) -> _Answer:
        found = self.index.listed()
        # As long as runs are still to be judged, the browser asks again after a second.
        more = (("Refresh", "1"),) if any(one.pending for one in found) else ()
        return _Answer("200 OK", index_page(self.index.folder, found), more)


def _is_here(host: str) -> bool:
    """Tell whether the Host header names this machine's loopback, whatever the port.

    The port is another one where it is forwarded, as by SSH.
    """
    try:
        return urlsplit(f"//{host}").hostname in HOSTS
    except ValueError:
        return False
