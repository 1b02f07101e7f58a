"""Where tests find the pictures of blood cells, which are not part of the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite.data import bccd
from perfsuite.errors import Unavailable


def use_cells() -> Path:
    """Return the folder of BCCD; skip where there is none."""
    forget()
    try:
        return bccd.folder()
    except Unavailable as missing:
        pytest.skip(str(missing))


def forget() -> None:
    """Let the next test look for the cells anew."""
    bccd.load.cache_clear()
    bccd._training.cache_clear()
