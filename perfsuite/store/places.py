"""The folders of data sets and of the cache."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def home() -> Path:
    """Return the folder of everything that perfsuite stores between runs.

    `PERFSUITE_HOME` if it is set, else the user's cache folder of this platform.
    """
    given = os.environ.get("PERFSUITE_HOME")
    return Path(given) if given else user_cache_path("perfsuite")


def data_dir(name: str) -> Path:
    """Return the folder of the data set `name` (it may not exist yet)."""
    return home() / "data" / name
