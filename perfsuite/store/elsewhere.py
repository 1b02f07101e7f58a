"""What became of artifacts on other processors, kept by artifact key until one is shipped.

One small file for each artifact, `elsewhere/<key>.json` in perfsuite's home.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from perfsuite.domain.elsewhere import Elsewhere
from perfsuite.store.disk import write_whole
from perfsuite.store.places import home

log = logging.getLogger(__name__)


def read_elsewhere(artifact: str) -> tuple[Elsewhere, ...]:
    """Return what is known of the artifact with this key; nothing if it was not tried.

    A file that cannot be read is ignored with a warning: then it counts as not tried.
    """
    path = _path(artifact)
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[Elsewhere, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError) as error:
        log.warning("%s is ignored: %s", path, error)
        return ()


def keep_elsewhere(found: Mapping[str, Sequence[Elsewhere]]) -> None:
    """Keep what was found of artifacts, by their keys, in place of what was known before.

    Where it cannot be written there is a warning, as the run itself is kept.
    """
    for artifact, ones in found.items():
        path = _path(artifact)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, msgspec.json.encode(tuple(ones)))
        except OSError as error:
            log.warning("%s cannot be written: %s", path, error)
            return


def _path(artifact: str) -> Path:
    return home() / "elsewhere" / f"{artifact}.json"
