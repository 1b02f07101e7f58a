"""What a search refuses before it begins, and what becomes of what it found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace
from searches import SearchProject

from perfsuite.config.optimize_suite import goal_of, optimize_suite
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.search import optimizing


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speedup": 1.0}, "--speedup is 1, and must be above 1"),
        ({"speedup": -3.0}, "must be above 1"),
        ({"speedup": float("nan")}, "must be above 1"),
        ({"max_drop_points": -0.1}, "must be from 0 to 100"),
        ({"max_drop_points": 101.0}, "must be from 0 to 100"),
        ({"minutes": 0.0}, "--minutes is 0"),
        ({"versus": "openvino/fp32"}, "'openvino' is none of the runtimes of this search"),
        ({"versus": "fake/int3"}, "fake has no precision 'int3'"),
        ({"runtimes": ["fak"]}, "did you mean 'fake'"),
        ({"batch": 0}, "--batch is 0"),
    ],
)
def test_a_target_that_contradicts_itself_is_refused(
    project: SearchProject, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        project.optimize(**options)
    assert not project.out.exists()


def test_what_meets_the_target_is_shipped(
    project: SearchProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Path, str, str]] = []

    def ship(run: Path, cell: str, folder: Path, *, command: str) -> Path:
        shutil.copytree(next((run / "artifacts").iterdir()), folder / "artifact")
        given.append((run, cell, command))
        return folder

    monkeypatch.setattr("perfsuite.ship.ship", ship)
    found = project.optimize(ship=project.folder / "shipped")
    assert (given, found.shipped) == ([], None)
    assert found.not_shipped == "the target is not proven to be met"
    project.script({"int8": 0.001}, {})
    project.out = project.folder / "again"
    (project.folder / "final").unlink()
    found = project.optimize(ship=project.folder / "shipped")
    assert found.shipped == project.folder / "shipped"
    ((run, cell, command),) = given
    assert (run, cell) == (project.out / "5-final", "net/int8/fake/cpu/b1")
    assert command.endswith(
        "net.py:net --speedup 5 --max-drop-points 1 --versus fake/fp32 --runtime fake --threads 1"
    )


def test_a_command_tells_all_that_a_search_was_asked_for() -> None:
    suite = optimize_suite("vgg-digits", ["openvino"], batch=4)
    suite = replace(suite, samples={"vgg-digits": "/data/x.npz"}, shapes={"net": {"x": (1, "?")}})
    goal = goal_of(suite, 2.5, 0.5, None, 10.0)
    assert optimizing._command(suite, goal) == (
        "perfsuite optimize vgg-digits --speedup 2.5 --max-drop-points 0.5 --versus openvino/fp32 "
        "--runtime openvino --batch 4 --samples /data/x.npz --shape 'x=1x?'"
    )


def test_what_cannot_be_shipped_is_found_all_the_same(
    project: SearchProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ship(*_: object, **__: object) -> Path:
        raise Unsupported("it does not stand alone")

    monkeypatch.setattr("perfsuite.ship.ship", ship)
    project.script({"int8": 0.001}, {})
    found = project.optimize(ship=project.folder / "shipped")
    assert (found.exit_code, found.shipped) == (0, None)
    assert found.not_shipped == "it does not stand alone"


def test_a_folder_to_ship_to_must_be_free(project: SearchProject) -> None:
    with pytest.raises(ConfigError, match="there is something already"):
        project.optimize(ship=project.folder)
    project.out = project.folder / "new" / "search"
    for folder in (project.out, project.folder / "new"):
        with pytest.raises(ConfigError, match=r"the search is kept there .*name another one"):
            project.optimize(ship=folder)
    assert not folder.exists()
