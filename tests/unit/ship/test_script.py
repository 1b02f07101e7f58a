"""The script that is shipped: how it cuts samples into calls, and what it refuses."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfsuite.ship import script

OPEN = {"name": "x", "dtype": "float32", "shape": ["batch", 2], "per_call": False}
FIXED = {"name": "x", "dtype": "float32", "shape": [4, 2], "per_call": False}
ONCE = {"name": "limit", "dtype": "float32", "shape": [1], "per_call": True}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return the sizes of calls, each with that which its session was opened for."""
    made: list[tuple[int, int]] = []

    def started(manifest: Any, batch: int, threads: int) -> script.Run:
        def run(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            made.append((len(inputs["x"]), batch))
            return [inputs["x"] * 2, np.zeros(())]

        return run

    monkeypatch.setattr(script, "started", started)
    return made


def answered(
    monkeypatch: pytest.MonkeyPatch, count: int, *inputs: Any, batch: int = 1, **known: bool
) -> list[tuple[int, list[np.ndarray]]]:
    monkeypatch.setattr(script, "SETTINGS", known)
    manifest = {"batch": batch, "inputs": inputs, "outputs": ["y", "scalar"]}
    given = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    limit = np.ones(1, np.float32)

    def take(start: int, stop: int) -> dict[str, np.ndarray]:
        return {"x": given[start:stop], "limit": limit}

    found = list(script.answers(manifest, take, count, 1))
    assert np.array_equal(np.concatenate([outputs[0] for _, outputs in found]), given * 2)
    return found


@pytest.mark.parametrize(
    ("count", "sizes"), [(3, [3]), (60, [30, 30]), (100, [50, 50]), (130, [50, 50, 50])]
)
def test_scores_are_asked_for_in_calls_as_large_as_perfsuites(
    monkeypatch: pytest.MonkeyPatch, calls: list[tuple[int, int]], count: int, sizes: list[int]
) -> None:
    answered(monkeypatch, count, OPEN, ONCE, any_batch=True, top1=True)
    assert calls == [(size, sizes[0]) for size in sizes]


def test_other_outputs_are_of_the_samples_alone(
    monkeypatch: pytest.MonkeyPatch, calls: list[tuple[int, int]]
) -> None:
    found = answered(monkeypatch, 130, OPEN, any_batch=True, top1=False)
    assert calls == [(50, 50), (50, 50), (30, 30)]
    arrays = script.collected(["y", "scalar"], found)
    assert arrays["y"].shape == (130, 2)
    assert sorted(arrays) == ["scalar/0", "scalar/1", "scalar/2", "y"]


def test_a_fixed_batch_is_padded_for_scores_alone(
    monkeypatch: pytest.MonkeyPatch, calls: list[tuple[int, int]]
) -> None:
    answered(monkeypatch, 6, FIXED, batch=4, any_batch=False, top1=True)
    assert calls == [(4, 4), (4, 4)]
    found = answered(monkeypatch, 8, FIXED, batch=4, any_batch=False, top1=False)
    assert sorted(script.collected(["y"], found)) == ["y/0", "y/1"]
    with pytest.raises(SystemExit, match="6 samples: it takes a multiple of 4"):
        answered(monkeypatch, 6, FIXED, batch=4, any_batch=False, top1=False)


def test_the_models_own_arrays_must_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(script, "SETTINGS", {"preprocessing": None})
    manifest = {"batch": 1, "inputs": [OPEN, ONCE]}
    file = tmp_path / "in.npz"

    def taken(**arrays: Any) -> Any:
        np.savez(file, **arrays)
        return script.arrays_of(file, manifest)

    take, count, labels = taken(x=np.ones((3, 2)), limit=np.array([7]), labels=np.arange(3))
    assert count == 3 and labels.tolist() == [0, 1, 2]
    part = take(1, 3)
    assert part["x"].shape == (2, 2) and part["x"].dtype == np.float32
    assert part["limit"].tolist() == [7.0]
    limit = np.ones(1, np.float32)
    for arrays, words in (
        ({"x": np.ones((3, 2))}, "no array 'limit' in it; it takes an .npz file"),
        ({"x": np.ones((3, 5)), "limit": limit}, r"'x' is float64 \(3, 5\), and the model takes"),
        ({"x": np.ones(3), "limit": limit}, r"the model takes float32 \(batch, 2\)"),
        ({"x": np.full((1, 2), 2**24 + 1), "limit": limit}, "'x' is int64"),
        ({"x": np.ones((0, 2)), "limit": limit}, "give as many of each input, at least one"),
    ):
        with pytest.raises(SystemExit, match=words):
            taken(**arrays)
    np.save(tmp_path / "in.npy", np.ones((3, 2)))
    with pytest.raises(SystemExit, match="how pictures become them was not declared"):
        script.samples_of(tmp_path / "in.npy", manifest)
    with pytest.raises(SystemExit, match="there is no such file"):
        script.samples_of(tmp_path / "gone.npy", manifest)


def test_labels_must_be_classes(capsys: pytest.CaptureFixture[str]) -> None:
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    script.judge(scores, np.array([1, 1, 1]))
    assert capsys.readouterr().out.splitlines() == [
        "0: class 1, score 0.9",
        "1: class 0, score 0.8",
        "2: class 1, score 0.7",
        "top-1: 66.67% (2 of 3)",
    ]
    for labels in (np.array([1, 1]), np.array([0, 1, 2]), np.array([0.5, 1, 1]), np.ones((3, 1))):
        with pytest.raises(SystemExit, match="integers from 0 to 1"):
            script.judge(scores, labels)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["nix.npy"], "nix.npy: there is no such file"),
        (["torn.npy"], "torn.npy: NumPy cannot read it: "),
        (["torn.npz"], "torn.npz: NumPy cannot read it: "),
        (["alone.npz"], "alone.npz: it has one array without a name; it takes "),
        (["named.npy"], "named.npy: it has several arrays; it takes "),
        (["x.npz", "--labels", "nix.npy"], "nix.npy: NumPy cannot read it: "),
        (["x.npz", "--labels", "x.npz"], "labels of shape (): give one for each of 2 samples"),
        (["x.npz", "--labels", "torn.npy"], "torn.npy: NumPy cannot read it: "),
        (["x.npz", "--labels", "three.npy"], "labels of shape (3,): give one for each of 2"),
        (["x.npz", "--output", "nix/out.npz"], "nix/out.npz: there is no such folder"),
    ],
)
def test_files_that_do_not_serve_are_told_before_anything_is_answered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: list[str], told: str
) -> None:
    (tmp_path / "artifact").mkdir()
    (tmp_path / "artifact" / "files.sha256").write_text("")
    manifest = {"batch": 1, "inputs": [OPEN], "outputs": ["y"]}
    (tmp_path / "artifact" / "artifact.json").write_text(json.dumps(manifest))
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 2), np.float32))
    np.save(tmp_path / "three.npy", np.zeros(3, int))
    (tmp_path / "torn.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "torn.npz").write_bytes((tmp_path / "x.npz").read_bytes()[:-30])
    (tmp_path / "alone.npz").write_bytes((tmp_path / "three.npy").read_bytes())
    (tmp_path / "named.npy").write_bytes((tmp_path / "x.npz").read_bytes())
    how = {"height": 1, "width": 2, "channels": 3, "colours": "RGB", "input": "x"}
    known = {"cell": "c", "threads": 1, "any_batch": True, "top1": True, "preprocessing": how}
    known["files"] = hashlib.sha256(b"").hexdigest()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(script, "ARTIFACT", tmp_path / "artifact")
    monkeypatch.setattr(script, "SETTINGS", known)
    monkeypatch.setattr("sys.argv", ["predict.py", *given])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert str(ended.value).startswith(told)


def test_another_list_of_files_is_not_that_which_was_shipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(script, "ARTIFACT", tmp_path)
    monkeypatch.setattr(script, "SETTINGS", {"files": hashlib.sha256(b"").hexdigest()})
    for written in (None, f"{'0' * 64}  model.onnx\n"):
        if written is not None:
            (tmp_path / "files.sha256").write_text(written)
        with pytest.raises(SystemExit, match=r"files\.sha256: not as it was shipped"):
            script.verify()
    (tmp_path / "files.sha256").write_text("")
    script.verify()
