"""The scripted project of all tests of searches."""

from __future__ import annotations

from pathlib import Path

import pytest
from searches import SearchProject


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchProject:
    """Return a project in a folder of its own."""
    return SearchProject(tmp_path, monkeypatch)
