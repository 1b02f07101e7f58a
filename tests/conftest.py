"""What every test shares: a home of its own, and nothing from the user's environment."""

from __future__ import annotations

import gc
import getpass
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfsuite.store.machine_lock import VARIABLE
from perfsuite.store.places import home

# Several test processes share the cores: thread pools of full width would spin against each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Data that are not part of the repository may lie beside it.
CELLS = Path(__file__).parents[2] / "shared" / "data" / "bccd"
if CELLS.is_dir():
    os.environ.setdefault("PERFSUITE_BCCD", str(CELLS))


@pytest.fixture(scope="session", autouse=True)
def _own_home(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Keep tests out of the user's cache; data sets, which are only read, stay where they are.

    The long proof works in the user's own: it takes hours, and goes on where it was cut short.
    """
    if request.config.getoption("markexpr") == "verify":
        yield
        return
    there = home() / "data"
    own = tmp_path_factory.mktemp("home")
    if there.is_dir():
        (own / "data").symlink_to(there.resolve(), target_is_directory=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERFSUITE_HOME", str(own))
        # Tests that run beside these must not wait for their measurements, nor tidy up after them.
        # What Inductor has compiled is kept where it always is.
        patch.setenv(
            "TORCHINDUCTOR_CACHE_DIR", f"{tempfile.gettempdir()}/torchinductor_{getpass.getuser()}"
        )
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        patch.setattr(tempfile, "tempdir", None)
        patch.setenv(VARIABLE, str(tmp_path_factory.mktemp("lock") / "lock"))
        for name in ("PERFSUITE_FAKE", "PERFSUITE_CELL"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True)
def _own_garbage() -> Iterator[None]:
    """Let each test collect its own garbage alone: what others have imported takes long to look at.

    Who measures collects garbage before each time, which many tests let happen hundreds of times.
    """
    gc.freeze()
    yield
    gc.collect()
    gc.unfreeze()


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the repository's folder."""
    return Path(__file__).parent.parent
