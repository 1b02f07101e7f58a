"""Commands that can be gone on with after an interrupt, and what they say then."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

INTERRUPTED = 130  # the exit code


@contextmanager
def resumable(begun: Callable[[], bool]) -> Iterator[None]:
    """End the program with how to go on, if it is interrupted within the context.

    That is the command as it was typed, with `--resume`. SIGTERM counts too, because what cancels a
    job in CI must not cost its run. Where nothing was `begun` there is nothing to go on with, and
    the interrupt is passed on.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        if not begun():
            raise
        typed = [word for word in sys.argv[1:] if word != "--resume"]
        click.echo("interrupted; what was finished is kept. Go on with:", err=True)
        click.echo(f"  {shlex.join(['perfsuite', *typed, '--resume'])}", err=True)
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
