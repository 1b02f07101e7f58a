"""What benchmarks/tensorrt_builds.py keeps of what it has built, and its tables."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perfsuite.domain.cell import Cell
from perfsuite.runtimes.tensorrt.runtime import TensorRtRtx

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(TensorRtRtx, "probe", lambda self: {"tensorrt-rtx-cu13": "1.7"})
    found = importlib.import_module("tensorrt_builds")
    monkeypatch.setattr(found, "MODELS", ("shufflenet-cifar10", "vgg16-cifar10"))
    return found


def test_a_command_that_was_cut_short_goes_on_with_the_next_model(
    builds: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = list[str]()

    def engines(suite: object, cell: Cell) -> Iterator[Any]:
        if len(built) == 5:  # of eight
            raise KeyboardInterrupt
        built.append(cell.key)
        if cell.workload == "vgg16-cifar10":
            yield builds.Row("", 2.25, 1.5, 30_000_000, "14 fp16")
            return
        yield builds.Row("stem", 1.0, 0.5, 2_000_000, "1 fp16", "it is too new")
        yield builds.Row("head", 0.0, 0.0, 0, "stays in PyTorch: no operator", "it is too new")

    monkeypatch.setattr(builds, "engines", engines)
    file = tmp_path / "engines.jsonl"
    with pytest.raises(KeyboardInterrupt):
        list(builds.built(("sm_86", "sm_120"), file))
    built.clear()
    found = list(builds.built(("sm_86", "sm_120"), file))
    assert len(found) == 8 and len(built) == 3, "each model once, in each type, for each card"
    assert list(builds.built(("sm_86", "sm_120"), file)) == found
    page = list(builds.tables(found))
    assert page.count("For sm_86, by tensorrt-rtx-cu13 1.7:") == 1
    assert "| vgg16-cifar10 | whole | INT8 and fp16 | 2.2 s | 1.5 s | 30.0 MB | 14 fp16 |" in page
    assert "| shufflenet-cifar10 | head | fp16 |  |  |  | stays in PyTorch: no operator |" in page
    assert page[-1] == "shufflenet-cifar10 is not taken whole: it is too new"
    monkeypatch.setattr(TensorRtRtx, "probe", lambda self: {"tensorrt-rtx-cu13": "1.8"})
    built.clear()
    next(iter(builds.built(("sm_86",), file)))
    assert len(built) == 1, "another version builds anew"
