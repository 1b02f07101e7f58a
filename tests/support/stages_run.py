"""The run of `benchmarks/stages.toml`, which the tests of the long proof read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perfsuite.domain.profile import Breakdown
from perfsuite.domain.record import Record, Run
from perfsuite.domain.runtime import Session
from perfsuite.runner.build import artifacts
from perfsuite.runner.job import first_job
from perfsuite.store.cache import Cache
from perfsuite.workloads.table import load_workload

ROOT = Path(__file__).parents[2]
OUT = ROOT / "reports" / "stages"
ENGINES = ("onnxruntime", "openvino")
RUNTIMES = ("pytorch", *ENGINES)
RESNET, SHUFFLENET = "faster-rcnn-resnet101", "faster-rcnn-shufflenet"
DETECTORS = (RESNET, SHUFFLENET)
PARITY = 1e-4


def record(run: Run, workload: str, runtime: str) -> Record:
    key = f"{workload}/fp32/{runtime}/cpu/b1"
    return next(record for record in run.records.values() if record.cell.key == key)


def breakdown(run: Run, workload: str, runtime: str) -> Breakdown:
    found = record(run, workload, runtime).breakdown
    assert found is not None, f"{workload} on {runtime} has no breakdown"
    return found


def accuracy(run: Run, workload: str, runtime: str) -> float:
    found = record(run, workload, runtime).accuracy
    assert found is not None, f"{workload} on {runtime} was not judged"
    return found.value


@contextmanager
def opened(run: Run, workload: str, runtime: str) -> Iterator[Session]:
    """Open what the run measured: the artifact that its prepare job left in the cache."""
    found = record(run, workload, runtime)
    folder = Cache().get("artifact", found.artifact)
    assert folder is not None, f"{found.cell.key}: its artifact has left the cache"
    build = load_workload(workload).model.build
    options = artifacts.options(first_job(run.header.suite, found.cell), build)
    manifest = artifacts.read_manifest(folder)
    engine = artifacts.load_runtime(runtime)
    with artifacts.open_session(engine, folder, manifest, options) as session:
        yield session
