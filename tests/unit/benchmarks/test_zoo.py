"""The zoo: which rows have faults, what stands in its table, and what a dead process costs."""

from __future__ import annotations

import inspect
import json
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
import zoo
import zoo_cells
import zoo_nets
import zoo_rows

NET = "torchvision:resnet18"


def cell(**more: Any) -> dict[str, Any]:
    return {"status": "ok", "macs": 1000, "labels": [], "inputs": {"x": [1, 3, 8, 8]}, **more}


def row(**changed: Any) -> dict[str, Any]:
    """Return a row of which all is well but what is `changed`, by names with _ for /."""
    cells = {name: cell() for name in zoo.CELLS}
    for name in zoo.CELLS:
        if name.startswith("int8"):
            cells[name] |= {"int8_share": 0.98, "cosine": 0.9995}
        if name.startswith(("prune", "lowrank")):
            cells[name]["macs"] = 790
    for name, one in changed.items():
        cells[name.replace("_", "/")] = one
    return {"net": NET, "processor": "AVX2", "int8": 16, "versions": {}, "cells": cells}


def test_eighty_nets_of_which_the_first_differ_most() -> None:
    assert len(zoo_nets.NETS) == len(set(zoo_nets.NETS)) == 82
    assert sum(net.startswith("timm:") for net in zoo_nets.NETS) == 41
    assert {"torchvision:fasterrcnn_mobilenet_v3_large_320_fpn", "torchvision:r3d_18"} <= {
        *zoo_nets.NETS[:6]
    }
    with pytest.raises(AttributeError, match="no net"):
        getattr(zoo_nets, "torchvision__resnet19")  # noqa: B009 - a name made at run time


def test_nine_cells() -> None:
    assert len(zoo.CELLS) == 9 and zoo.CELLS[0] == "fp32/pytorch"


def test_a_row_of_which_all_is_well() -> None:
    assert zoo_rows.faults(row()) == []
    assert zoo_rows.table([row()]).splitlines()[2] == (
        "| torchvision:resnet18 | 3x8x8 | 0.001 M | ok | 98%, 0.9995 | 98%, 0.9995 "
        "| 79% of MACs | 79% of MACs |"
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fp32_pytorch": {"status": "failed", "kind": "KeyError", "message": "'x'"}}, "KeyError"),
        ({"int8_openvino": {"status": "hang", "message": "900 s"}}, "hang"),
        ({"int8_openvino": {"status": "crash", "message": "exit code -11"}}, "exit code -11"),
        ({"fp32_openvino": cell(macs=900)}, "0.900 of the MACs"),
        ({"prune_openvino": cell(macs=900)}, "0.8 was asked for"),
        ({"int8_openvino": cell(cosine=0.79)}, "cosine to fp32 is 0.79"),
        ({"fp32_pytorch": cell(labels=["answers alike"])}, "the same answers"),
        ({"fp32_pytorch": cell(missing=0.01)}, "off by 1.0e-02"),
        ({"fp32_pytorch": cell(unattributed=0.5)}, "50% of the call are nobody's"),
        ({"prune_openvino": {"status": "unsupported", "message": "no"}}, "nobody has looked at"),
    ],
)
def test_faults(changed: dict[str, Any], said: str) -> None:
    (fault,) = zoo_rows.faults(row(**changed))
    assert said in fault


def test_a_known_refusal_is_no_fault_and_its_reason_stands_below_the_table() -> None:
    why = "int8 on net: it needs the graph of the whole model, which runs in pieces (no export)"
    found = row(int8_openvino={"status": "unsupported", "message": why})
    assert zoo_rows.faults(found) == []
    printed = zoo_rows.table([found])
    assert "| refused (a) |" in printed and "\na) the model runs in pieces" in printed
    assert zoo_rows.summary([found]) == (
        "1 nets, 9 cells: 8 work, 1 are refused, 0 faults. Version of INT8: 16."
    )


def test_a_row_replaces_an_older_one_of_its_net_and_processor(tmp_path: Path) -> None:
    path = tmp_path / "zoo.jsonl"
    second, first = zoo_nets.NETS[1], zoo_nets.NETS[0]
    for net, place, share in (
        *((second, "AVX2", 1), (first, "AVX2", 2), (second, "AVX2", 3)),
        (second, "AVX-512", 4),
    ):
        zoo.store({"net": net, "processor": place, "share": share}, path)
    assert [one["share"] for one in zoo.stored(path)] == [4, 2, 3]


def test_each_processor_has_its_table_and_versions_of_int8_that_differ_are_told() -> None:
    other = {**row(), "net": zoo_nets.NETS[1]}
    del other["int8"]  # as in rows of before it was recorded
    printed = zoo_rows.tables([{**row(), "processor": "AVX-512, VNNI"}, row(), other])
    avx512, avx2 = printed.split("### Processors with AVX2\n\n")
    assert avx512.startswith("### Processors with AVX-512, VNNI\n\n| net |")
    assert avx512.count("torchvision:resnet18") == avx2.count("torchvision:resnet18") == 1
    assert avx2.endswith(f"Version of INT8: 16; not recorded for {zoo_nets.NETS[1]}.")


def test_a_process_that_dies_costs_one_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first dies at its third cell, the second of a hang at the next, the third ends well."""
    codes = iter([-11, -signal.SIGPROF, 0])

    def process(command: list[str], stdout: Any, **_: Any) -> Any:
        path = Path(command[-1]) / zoo.FILE
        done = len(path.read_text().splitlines())
        stdout.write(b"Segmentation fault")
        code = next(codes)
        last = {0: 2, 3: 3}.get(done, len(zoo.CELLS))
        with path.open("a") as file:
            for name in zoo.CELLS[done:last]:
                file.write(json.dumps({"cell": name, "status": "ok"}) + "\n")
        return SimpleNamespace(returncode=code)

    monkeypatch.setattr(zoo.subprocess, "run", process)
    cells = zoo.run(NET)["cells"]
    assert [one["status"] for one in cells.values()] == ["ok", "ok", "crash", "hang", *["ok"] * 5]
    assert cells[zoo.CELLS[2]]["message"] == "exit code -11: Segmentation fault"


def test_the_clock_of_the_zoo_counts_multiply_accumulates() -> None:
    torch = pytest.importorskip("torch")
    import numpy as np

    clock = zoo_cells.MacsClock(None, "cpu", "fp32", 1)
    candidates = [(torch.nn.Linear(8, width), {"x": np.ones((1, 8), "f4")}) for width in (100, 50)]
    assert clock(candidates) == pytest.approx((1e-6 + 8e-8, 1e-6 + 4e-8))


def test_what_notes_errors_is_asked_as_what_it_stands_for() -> None:
    pytest.importorskip("onnxruntime")
    from perfsuite.runner.build.as_graph import require_as_graph

    stands_for = list(inspect.signature(require_as_graph).parameters)
    assert list(inspect.signature(zoo_cells.AsGraph().__call__).parameters) == stands_for
