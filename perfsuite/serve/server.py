"""The server of `perfsuite serve`: on loopback, until somebody ends it."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from pathlib import Path

from perfsuite.errors import ConfigError
from perfsuite.serve.app import Application
from perfsuite.serve.found import runs_in

ADDRESS = "127.0.0.1"
PORT = 8471
LIMIT_BYTES = 16384  # of what a request may have; none has a body


def serve(folder: Path, port: int = PORT, told: Callable[[str, int], None] | None = None) -> None:
    """Answer requests for the runs of `folder` until Ctrl-C.

    `told` is called with the address and the number of runs once requests are answered. With the
    port 0 the system chooses a free one. Raises `ConfigError` where there is no such folder or the
    port cannot be had.
    """
    from waitress.server import create_server

    # It warns of each request that waits, and pages of large runs take seconds.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    count = len(runs_in(folder))
    try:
        server = create_server(
            Application(folder),
            host=ADDRESS,
            port=port,
            ident=None,
            max_request_header_size=LIMIT_BYTES,
            max_request_body_size=LIMIT_BYTES,
        )
    except OSError as error:
        raise ConfigError(_why(port, error)) from error
    if told is not None:
        told(f"http://{ADDRESS}:{server.effective_port}/", count)
    try:
        server.run()  # returns on Ctrl-C
    finally:
        server.close()


def _why(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {ADDRESS} is taken, perhaps by another `perfsuite serve`; end that, "
            "or choose another port: --port N, or --port 0 for any that is free"
        )
    return f"port {port} of {ADDRESS} cannot be had: {error.strerror}; choose another one: --port N"
