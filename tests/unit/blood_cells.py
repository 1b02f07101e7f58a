"""Where tests find the pictures of blood cells, which are not part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perfsuite.data import bccd


def use_cells(root: Path, patch: pytest.MonkeyPatch) -> Path:
    """Return the folder of BCCD and let perfsuite find it; skip where there is none."""
    beside = root.parent / "shared" / "data" / "bccd"
    folder = Path(os.environ.get("PERFSUITE_BCCD", beside))
    if not folder.is_dir():
        pytest.skip("BCCD is not on this machine; set PERFSUITE_BCCD to its folder")
    patch.setenv("PERFSUITE_BCCD", str(folder))
    forget()
    return folder


def forget() -> None:
    """Let the next test look for the cells anew."""
    bccd.load.cache_clear()
    bccd._training.cache_clear()
