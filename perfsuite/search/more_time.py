"""A search that has ended goes on with more minutes: anew, while the caches hold what it made.

What was prepared, trained and answered is not done again. What was measured is, together with what
there was no time for before; and with more time a training may be a longer one. The search of
before lies in the sub-folder `earlier-1`, and so on.
"""

from __future__ import annotations

from pathlib import Path

from perfsuite.errors import ConfigError
from perfsuite.search.decisions import EARLIER, FILE


def set_aside(folder: Path) -> None:
    """Move the search in `folder` into a sub-folder, or the rest of one that was being moved.

    Raises `ConfigError` if the folder cannot be written.
    """
    count = len(list(folder.glob(f"{EARLIER}*")))
    if (folder / FILE).is_file():
        count += 1
    to = folder / f"{EARLIER}{count}"
    try:
        to.mkdir(exist_ok=True)
        # First what says that there is a search: after a kill the rest is found without it.
        for path in (folder / FILE, *folder.glob("[!.]*")):
            if path.exists() and not path.name.startswith(EARLIER):
                path.rename(to / path.name)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror}") from error


def is_half_moved(folder: Path) -> bool:
    """Tell whether a search was being set aside when the process was killed."""
    return not (folder / FILE).exists() and any(folder.glob(f"{EARLIER}*"))
