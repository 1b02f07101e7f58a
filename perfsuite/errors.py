"""Every error that perfsuite raises on purpose.

::

    PerfsuiteError
    ├── ConfigError      a user's mistake: a suite, an option, a file, a name
    ├── Unavailable      not on this machine (what is missing, and how to get it)
    ├── Unsupported      cannot be done here or anywhere: a pass on that engine, an operator
    ├── BuildError       a pass, an export or an engine failed on the way to an artifact
    ├── ParityError      an export answers differently from the model it came from
    ├── SilentFallback   something else ran than what was asked for
    ├── DiskFull         no room to write: no fault of a cell, which is done again once there is
    ├── SchemaError      stored data that cannot be read: torn, corrupt, or from a newer version
    └── Incomparable     two things that must not be compared

Each message says what is wrong, where, and how to fix it.
"""

from __future__ import annotations

from collections.abc import Iterator


class PerfsuiteError(Exception):
    """The root: catch this to catch everything that perfsuite raises on purpose."""


class ConfigError(PerfsuiteError):
    """A user's mistake, with its place: exit code 2."""


class Unavailable(PerfsuiteError):
    """Something is not on this machine; the message says what, and how to get it."""


class Unsupported(PerfsuiteError):
    """Something cannot be done by this pass, engine or model, here or anywhere."""


class BuildError(PerfsuiteError):
    """A pass, an export or an engine failed on the way to an artifact."""


class ParityError(BuildError):
    """An export answers differently from the model it came from."""


class SilentFallback(PerfsuiteError):
    """Something else ran than what was asked for."""


class DiskFull(PerfsuiteError):
    """There is no room on a disk: what could not be written is done again once there is."""


class SchemaError(PerfsuiteError):
    """Stored data that cannot be read: torn, corrupt, or written by a newer version."""


class Incomparable(PerfsuiteError):
    """Two things that must not be compared."""


def raised_from(error: BaseException, *, or_handling: bool = False) -> Iterator[BaseException]:
    """Yield an error, then what it was raised from, each once: code may raise one from itself.

    With `or_handling`, where it was raised from nothing, also what was being handled then.
    """
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or (found.__context__ if or_handling else None)
