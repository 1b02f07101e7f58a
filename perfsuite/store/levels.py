"""How long each artifact took in earlier runs on this machine: what runs differ by follows from it.

One file for each machine, `levels/<machine>.json` in perfsuite's home. It is of a bounded size: the
latest runs of the latest artifacts of the latest cells.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec

from perfsuite.domain.environment import MustMatch
from perfsuite.errors import ConfigError
from perfsuite.store.disk import locked, write_whole
from perfsuite.store.places import home, name_of_machine

log = logging.getLogger(__name__)

MOST_RUNS = 20  # of an artifact
MOST_ARTIFACTS = 5  # of a cell
MOST_CELLS = 1000


class Level(msgspec.Struct, frozen=True):
    """The log of a run's geometric mean latency in seconds, and the standard error of that.

    `run` is when the run was created, which tells it from others.
    """

    run: str
    value: float
    error: float


Levels = dict[str, dict[str, tuple[Level, ...]]]  # by cell id, then by artifact key


def read_levels(machine: MustMatch) -> Levels:
    """Return the levels of earlier runs on this machine, the oldest first.

    A file that cannot be read is ignored with a warning: then it is only not known what runs differ
    by.
    """
    path = _path(machine)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Levels)
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        log.warning("%s is ignored, what runs differ by is learned anew: %s", path, error)
        return {}


def add_levels(machine: MustMatch, new: Mapping[str, Mapping[str, Level]]) -> None:
    """Add the levels of one run, by cell id and artifact key, in place of what it added before.

    The file is replaced at once, so that a reader sees the old or the new one, and of two runs that
    end together both are added. If the folder cannot be written, nothing is stored, with a warning.
    """
    if not new:
        return
    path = _path(machine)
    try:
        with locked(home(), "levels.lock"):
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = _with(read_levels(machine), new)
            write_whole(path, msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")
    except (OSError, ConfigError) as error:
        log.warning("%s: how long runs took is not kept: %s", path, error)


def _with(levels: Levels, new: Mapping[str, Mapping[str, Level]]) -> Levels:
    for cell, artifacts in new.items():
        known = levels.pop(cell, {})
        for artifact, level in artifacts.items():
            others = (one for one in known.pop(artifact, ()) if one.run != level.run)
            known[artifact] = (*others, level)[-MOST_RUNS:]
        levels[cell] = dict(list(known.items())[-MOST_ARTIFACTS:])
    return dict(list(levels.items())[-MOST_CELLS:])


def _path(machine: MustMatch) -> Path:
    return home() / "levels" / f"{name_of_machine(machine)}.json"
