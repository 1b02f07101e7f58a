"""Every format of the table writes every run, and says in one line what it is for."""

from __future__ import annotations

from pathlib import Path

import pytest
from stored_run import store_run

from perfsuite import api
from perfsuite.report import FORMATS


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_run(tmp_path_factory.mktemp("stored") / "run")


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_says_what_it_is_and_how_its_files_end(name: str) -> None:
    assert api.listing("formats")["formats"][name]
    assert FORMATS[name]().suffix.startswith(".")


def test_no_two_formats_end_alike() -> None:
    suffixes = [make().suffix for make in FORMATS.values()]
    assert len(set(suffixes)) == len(suffixes)


@pytest.mark.parametrize("name", FORMATS)
def test_a_run_is_written_the_same_each_time_and_names_its_cells(name: str, stored: Path) -> None:
    text = api.report(stored, name)
    assert text == api.report(stored, name)
    assert "fp32/openvino/cpu/b1" in text
    assert text.endswith("\n")


@pytest.mark.parametrize("name", FORMATS)
def test_a_baseline_may_be_given(name: str, stored: Path) -> None:
    assert api.report(stored, name, stored)
