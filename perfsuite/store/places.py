"""The folders of data sets and of the cache."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec
from platformdirs import user_cache_path

from perfsuite.domain.environment import MustMatch


def home() -> Path:
    """Return the folder of everything that perfsuite stores between runs.

    `PERFSUITE_HOME` if it is set, else the user's cache folder of this platform.
    """
    given = os.environ.get("PERFSUITE_HOME")
    return Path(given) if given else user_cache_path("perfsuite")


def data_dir(name: str) -> Path:
    """Return the folder of the data set `name` (it may not exist yet)."""
    return home() / "data" / name


def name_of_machine(machine: MustMatch) -> str:
    """Return the name of files about a machine: another one for each machine that differs."""
    fields = msgspec.json.encode(machine, order="sorted")
    return hashlib.sha256(fields).hexdigest()[:16]
