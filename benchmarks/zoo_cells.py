"""All cells of one net of the zoo in this process; `zoo.py` starts it, and again after a crash.

    python benchmarks/zoo_cells.py REFERENCE FOLDER

Each cell is prepared (passes, export, build, parity) and inspected (evidence, breakdown) by the
jobs that `perfsuite run` has, and adds a line to `FOLDER/cells.jsonl`. Passes that choose by the
clock get one that counts multiply-accumulates: what they choose is the same each time, and no layer
is timed, which would take hours.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

import perfsuite
from perfsuite.config.loading import load_suite
from perfsuite.domain.profile import UNATTRIBUTED
from perfsuite.domain.record import Line
from perfsuite.domain.suite import Inspect
from perfsuite.runner.job import first_job
from perfsuite.runner.worker import run_job
from perfsuite.store.cache import Cache

GRAPHS = ["onnxruntime", "openvino"]
CELLS = (
    "fp32/pytorch",
    *(f"{recipe}/{engine}" for recipe in ("fp32", "int8", "prune", "lowrank") for engine in GRAPHS),
)
FILE = "cells.jsonl"
LIMIT_S = 900  # of processor time a cell may take: none of the machine's other work is in it
SAMPLES = 8
_NETS = Path(__file__).with_name("zoo_nets.py")
_MESSAGE, _OUTPUT = 600, 1500  # characters that are kept


@dataclass(frozen=True)
class MacsClock:
    """The clock of a machine that does ten multiply-accumulates a nanosecond, and nothing else."""

    runtime: Any
    device: str
    precision: str
    threads: int

    def __call__(self, candidates: Sequence[Any], cold_bytes: int = 0) -> tuple[float, ...]:
        """Return the seconds of each candidate; a call itself takes a microsecond."""
        from perfsuite.measure.macs import count_module

        return tuple(
            1e-6 + count_module(module, inputs).macs / 1e10 for module, inputs in candidates
        )


class AsGraph:
    """Notes how far a rounded graph, run as it stands, is from fp32, beside the engine's answers.

    It stands in the place of what fails where an engine is much further.
    """

    def __init__(self) -> None:
        self.errors: dict[str, float] = {}

    def __call__(
        self,
        task: Any,
        manifest: Any,
        graph: Path,
        given: Sequence[Any],
        expected: Sequence[Any],
        answered: Sequence[Any],
        found: Sequence[Any],
    ) -> bool:
        """Note the relative errors of the output that differs most between both."""
        from perfsuite.runner.build.as_graph import require_as_graph
        from perfsuite.runner.build.likeness import likeness
        from perfsuite.runner.build.reference import graph_outputs

        own = [graph_outputs(graph, one) for one in given]
        pairs = [
            (one.relative_error, other.relative_error)
            for one, other in zip(found, likeness(task, manifest, expected, own), strict=True)
            if one.relative_error is not None and other.relative_error is not None
        ]
        if pairs:
            worst = max(pairs, key=lambda pair: pair[0] - pair[1])
            self.errors = dict(zip(("error", "graph_error"), map(_short, worst), strict=True))
        return require_as_graph(task, manifest, graph, given, expected, answered, found)


def suite_of(reference: str) -> perfsuite.Suite:
    """Return the suite of one net; what is fitted for one engine serves both."""
    macs = {"macs": 0.8, "runtime": "onnxruntime"}
    passes = {
        "int8": perfsuite.Int8(calibration_samples=SAMPLES),
        "prune": perfsuite.Prune(importance="l2", **macs),  # random pictures have no labels
        "lowrank": perfsuite.Lowrank(**macs),
    }
    return perfsuite.Suite(
        name="zoo",
        workloads=[f"{_NETS}:{reference.replace(':', '__', 1)}"],
        runtimes=["pytorch", *GRAPHS],
        recipes=[perfsuite.Recipe(name, [one], runtimes=GRAPHS) for name, one in passes.items()],
        threads=1,
        processes=1,
        meters=[],
    )


def main(reference: str, folder: Path) -> None:
    """Do the cells of a net that have no line in `folder` yet."""
    suite, cells, _ = load_suite(suite_of(reference))
    by_name = {f"{cell.recipe}/{cell.runtime}": cell for cell in cells}
    path = folder / FILE
    done = {json.loads(line)["cell"] for line in path.read_text().splitlines()}
    with patch("perfsuite.runner.build.variants.Clock", MacsClock):
        for name in CELLS:
            if name in done:
                continue
            # By default this signal ends the process, wherever it hangs.
            signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
            started_s = time.process_time()
            with patch("perfsuite.runner.jobs.comparing.require_as_graph", AsGraph()) as asked:
                found = _facts(first_job(suite, by_name[name]))
            found |= asked.errors
            found = {"cell": name, **found, "cpu_s": round(time.process_time() - started_s, 1)}
            with path.open("a") as file:
                file.write(json.dumps(found) + "\n")


def _facts(job: Any) -> dict[str, Any]:
    """Return what is told of a cell."""
    line = run_job(job)
    if line.status != "ok":
        return _refused(line)
    folder = Cache().get("artifact", line.artifact)
    again = msgspec.structs.replace(
        job,
        kind="inspect",
        artifact=str(folder),
        artifact_key=line.artifact,
        inspect=Inspect(calls=2, seconds=0.0),
    )
    seen = run_job(again)
    return _refused(seen) if seen.status != "ok" else _told(line, seen)


def _refused(line: Line) -> dict[str, Any]:
    error = line.error
    if error is None:
        return {"status": line.status, "job": line.job}
    found = {"status": line.status, "job": line.job, "kind": error.kind}
    found["message"] = error.message[:_MESSAGE]
    return {**found, **({"output": error.output[-_OUTPUT:]} if error.output else {})}


def _told(line: Line, seen: Line) -> dict[str, Any]:
    """Return the facts of a cell that was prepared and inspected."""
    numbers = {one.metric: one.samples[0] for one in line.measurements}
    found: dict[str, Any] = {"status": "ok", "macs": int(numbers.get("macs", 0))}
    found["inputs"] = {name: list(seen[0]) for name, seen in line.input_shapes.items()}
    labels = [one for one in (*line.labels, *seen.labels) if one != "unlabelled"]
    found["labels"] = sorted({one for one in labels if not one.startswith("random")})
    if line.parity:
        found["parity"] = _short(max(line.parity.values()))
    if line.uncounted:
        found["uncounted"] = line.uncounted
    cosines = [one.cosine for one in line.likeness if one.cosine is not None]
    if cosines:
        found["cosine"] = round(min(cosines), 5)
    if seen.int8_share is not None:
        found["int8_share"] = round(seen.int8_share, 4)
    if seen.float_shares:
        found["float_shares"] = {kind: round(one, 4) for kind, one in seen.float_shares.items()}
    if seen.breakdown is not None:
        rows, total_s = seen.breakdown.rows, seen.breakdown.total_s
        lost_s = sum(row.time_s for row in rows if row.name == UNATTRIBUTED)
        found["unattributed"] = round(lost_s / total_s, 3)
        found["missing"] = _short(abs(sum(row.time_s for row in rows) - total_s) / total_s)
    return found


def _short(number: float) -> float:
    return float(f"{number:.2e}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
