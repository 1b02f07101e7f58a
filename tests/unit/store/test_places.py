"""Where everything lies that is kept between runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite.store.places import data_dir, home


def test_the_variable_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path))
    assert home() == tmp_path
    assert data_dir("cifar10") == tmp_path / "data" / "cifar10"


@pytest.mark.parametrize("given", [None, ""])
def test_without_it_the_users_cache_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if given is None:
        monkeypatch.delenv("PERFSUITE_HOME")
    else:
        monkeypatch.setenv("PERFSUITE_HOME", given)
    assert home() == tmp_path / "perfsuite"
