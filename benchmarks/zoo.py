"""Which nets of torchvision and timm are profiled, quantized, pruned and factorized, and which not.

    python benchmarks/zoo.py [--only 'torchvision:vit*'] [--minutes 60] [--again]
    python benchmarks/zoo.py --table

Each net of `zoo_nets.py` has nine cells (see `zoo_cells.py`): fp32 on eager PyTorch, ONNX Runtime
and OpenVINO, and on both engines INT8, pruned and factorized. What comes out is a line of
`zoo.jsonl`, which is part of the repository: a net that has one of this processor's kind is run
again with `--again` alone, and none begins once the minutes are over, so that hours of it can be
run in parts. The exit code is 1 if a row has a fault: a traceback, a crash, a hang, a wrong number,
a refusal that nobody has looked at. `--table` prints the rows for RESULTS.md, those of each kind of
processor in a table of their own, since engines have other kernels there.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

from zoo_cells import CELLS, FILE, LIMIT_S
from zoo_nets import NETS
from zoo_rows import faults, tables

from perfsuite import Int8
from perfsuite.processor import best_instruction_sets, read_processor

STORED = Path(__file__).with_name("zoo.jsonl")
WALL_S = 7200.0  # of a net; a process that waits for nothing takes no processor time
_VERSIONS = ("torch", "torchvision", "timm", "onnx", "onnxruntime", "openvino")
_TAIL = 300  # characters of what a process has left behind


def here() -> str:
    """Return this processor's kind: the best of its instruction sets, such as "AVX2"."""
    return ", ".join(best_instruction_sets(read_processor().features))


def stored(path: Path = STORED) -> list[dict[str, Any]]:
    """Return the rows that are there, those of each processor in the order of the zoo."""
    lines = path.read_text().splitlines() if path.exists() else []
    rows = {_key(row): row for row in map(json.loads, lines)}
    return [
        rows[place, net]
        for place in sorted({one for one, _ in rows})
        for net in NETS
        if (place, net) in rows
    ]


def store(row: dict[str, Any], path: Path = STORED) -> None:
    """Add a row, in the place of an older one of its net and processor."""
    others = [one for one in stored(path) if _key(one) != _key(row)]
    new = path.with_suffix(".new")
    new.write_text("".join(json.dumps(one) + "\n" for one in [*others, row]))
    new.replace(path)


def _key(row: dict[str, Any]) -> tuple[str, str]:
    return row["processor"], row["net"]


def run(net: str) -> dict[str, Any]:
    """Return the row of a net; a process that dies costs the cell that it was at."""
    with tempfile.TemporaryDirectory(prefix="perfsuite-zoo-") as name:
        folder = Path(name)
        path = folder / FILE
        path.touch()
        while len(cells := _cells(path)) < len(CELLS):
            ended = _process(net, folder)
            if len(_cells(path)) < len(CELLS):
                lost = {"cell": next(one for one in CELLS if one not in _cells(path)), **ended}
                with path.open("a") as file:
                    file.write(json.dumps(lost) + "\n")
    versions = {one: version(one) for one in _VERSIONS}
    made = {"processor": here(), "int8": Int8.version, "versions": versions}
    return {"net": net, **made, "cells": {name: cells[name] for name in CELLS}}


def _cells(path: Path) -> dict[str, Any]:
    found = {}
    for line in path.read_text().splitlines():
        one = json.loads(line)
        found[one.pop("cell")] = one
    return found


def _process(net: str, folder: Path) -> dict[str, Any]:
    """Return the status of the cell at which a process ended, if it ended too early."""
    settings = {"PERFSUITE_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("zoo_cells.py")), net, str(folder)]
    output = folder / "output"
    with output.open("wb") as file:
        try:
            ended = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **settings},
                timeout=WALL_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return {"status": "hang", "message": f"it had not ended after {WALL_S:.0f} s"}
    if ended == -signal.SIGPROF:
        return {"status": "hang", "message": f"a cell took {LIMIT_S} s of processor time"}
    tail = output.read_text(errors="replace").strip()[-_TAIL:]
    return {"status": "crash", "message": f"exit code {ended}: {tail}"}


def main() -> int:
    """Run the nets that are asked for; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="*", help="a pattern of nets")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--again", action="store_true", help="also nets that have a row")
    parser.add_argument("--table", action="store_true", help="print what is stored, run nothing")
    given = parser.parse_args()
    chosen = [net for net in NETS if fnmatch(net, given.only)]
    if not chosen:
        parser.error(f"no net is called '{given.only}'; they are\n  " + "\n  ".join(NETS))
    end_s = time.monotonic() + given.minutes * 60
    for net in [] if given.table else chosen:
        done = (here(), net) in map(_key, stored())
        if (done and not given.again) or time.monotonic() >= end_s:
            continue
        row = run(net)
        store(row)
        wrong = faults(row)
        print(f"{net}: {'; '.join(wrong) if wrong else 'ok'}", file=sys.stderr, flush=True)
    rows = [row for row in stored() if row["net"] in chosen]
    print(tables(rows))
    return int(any(map(faults, rows)))


if __name__ == "__main__":
    sys.exit(main())
