"""What perfsuite does on an NVIDIA card, in one command of at most 8 minutes.

    python benchmarks/gpu_check.py [FOLDER [SECONDS]]

It needs a torch built for CUDA and installs nothing. It holds eager PyTorch to the contract of
runtimes on the card, measures VGG-16 at 224x224 in fp32, TF32, fp16 and bf16 with cuDNN on and off,
all of them taking turns, and breaks down a Faster R-CNN on ResNet-101. What it found it writes into
FOLDER (by default reports/gpu-check): gpu_check.json and gpu_check.md, anew after each step. After
SECONDS, by default 400, or when it is told to end (SIGTERM), it tells what it has until then. The
exit code is 0 if all is as it must be, 1 if something is not, 2 where FOLDER holds another run, and
3 where there is no card.
"""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from gpu_tables import MISSING, PRECISIONS, findings, markdown

from perfsuite import Measure, Suite, api
from perfsuite.config.loading import load_suite
from perfsuite.domain.profile import PYTHON, UNATTRIBUTED, Breakdown, BreakdownRow
from perfsuite.domain.record import Record
from perfsuite.errors import SilentFallback, Unavailable, Unsupported
from perfsuite.runner.job import first_job
from perfsuite.runner.process import run_job_in_process

if TYPE_CHECKING:
    from perfsuite.domain.runtime import Manifest, Runtime

HERE = Path(__file__).parent
ENGINES = ("pytorch", "pytorch-channels-last")
OTHERS = ("onnxruntime-cuda", "pytorch-cuda-graphs")  # held to their contract in fp32, if installed
MODELS = HERE / "gpu_models.py"
RUNS = ("detector", "ladder")  # the folders of the two runs
LIMIT_S = 400
AT_ONCE = 4  # preparations, each of which holds a net on the card
MEASURE = Measure(calls=30, seconds=0.6, warmup_seconds=3.0, timeout_seconds=200)


def offered() -> list[str]:
    """Return the precisions that the card has; raise `Unavailable` where there is none.

    Cards before sm_80 have no TF32.
    """
    from perfsuite.runtimes.table import RUNTIMES

    found = []
    for precision in PRECISIONS:
        try:
            RUNTIMES["pytorch"]().require("cuda", precision)
            found.append(precision)
        except Unavailable:
            if precision == "fp32":
                raise
    return found


def contracts(precisions: Sequence[str]) -> list[dict[str, str]]:
    """Return whether each engine meets the contract of runtimes on the card, by precision."""
    from perfsuite.runtimes.table import RUNTIMES
    from perfsuite.testing import check_runtime

    found = []
    tried = [(name, precision) for name in ENGINES for precision in precisions]
    for name, precision in [*tried, *((name, "fp32") for name in OTHERS)]:
        try:
            check_runtime(RUNTIMES[name](), "cuda", precision)
            outcome = "pass"
        except (AssertionError, Unsupported) as error:
            outcome = f"{type(error).__name__}: {error}"
        except Unavailable as error:
            if name in ENGINES:
                raise
            outcome = f"{MISSING}: {error}"
        found.append({"runtime": name, "precision": precision, "outcome": outcome})
    return found


def proof(
    build: Callable[[], Any],
    inputs: dict[str, Any],
    precisions: Sequence[str] = PRECISIONS,
    device: str = "cuda",
) -> list[dict[str, Any]]:
    """Return what a net's products ran in, with cuDNN on and off, and whether that was asked for.

    All is done in this process: in one each, most of the time would go by before the call.
    """
    from perfsuite.domain.model import InputSpec
    from perfsuite.domain.runtime import Manifest, Variant
    from perfsuite.runner.build.artifacts import load_runtime

    spec = tuple(InputSpec(name, "float32", one.shape) for name, one in inputs.items())
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for reference in ("pytorch", f"{MODELS}:WithoutCudnn"):  # the latter turns it off for good
            runtime, short = load_runtime(reference), reference.rpartition(":")[2]
            for precision in precisions:
                manifest = Manifest(short, device, precision, 1, spec, ("y",), False, False)
                if not found:
                    runtime.build(Variant(None, build, False), manifest, folder)
                found.append(_proven(runtime, folder, manifest, build, inputs))
    return found


def _proven(
    runtime: Runtime,
    folder: Path,
    manifest: Manifest,
    build: Callable[[], Any],
    inputs: dict[str, Any],
) -> dict[str, Any]:
    from perfsuite.domain.runtime import SessionOptions
    from perfsuite.runtimes.shared.precision import check_precision

    options = SessionOptions(1, 0, inspect=True, rebuild=build)
    with runtime.open(folder, manifest, options) as session:
        session.run(inputs)
        evidence = session.evidence()
    outcome = "pass"
    try:
        check_precision(evidence, manifest)
    except SilentFallback as error:
        outcome = str(error)
    kernels = [item for item in evidence.items if item.about == "kernels"]
    return {
        "runtime": manifest.runtime,
        "precision": manifest.precision,
        "outcome": outcome,
        "kernels": evidence.kernels,
        "libraries": {item.name: item.value for item in kernels},
    }


def card() -> dict[str, Any]:
    """Return which card and which libraries these are, and what the card can reach."""
    import torch

    from perfsuite.runtimes.pytorch.card import cudnn_version
    from perfsuite.runtimes.table import RUNTIMES

    runtime: Any = RUNTIMES["pytorch"]()
    identity = runtime.identify("cuda")
    roofs = {one: runtime.roofline("cuda", one) for one in offered()}
    return {
        "card": msgspec.to_builtins(identity),
        "torch": torch.__version__,
        "CUDA": torch.version.cuda,
        "cuDNN": cudnn_version(),
        "flops_per_s": {name: roof.flops_per_s for name, roof in roofs.items()},
        "bytes_per_s": max(roof.bytes_per_s for roof in roofs.values()),
    }


def alone(part: str) -> dict[str, Any]:
    """Return what needs torch in this process: it is done in one of its own, which then ends."""
    if part == "card":
        return {"card": card()}
    from perfsuite.workloads.table import load_workload

    net: Any = load_workload(f"{MODELS}:vgg16")
    module = net.model.build()
    inputs = net.task.inputs(1, 0)
    # The weights are read from the artifact anew each time, whatever the last session made of them.
    precisions = offered()
    shown = proof(lambda: module.float().to("cpu"), inputs, precisions)
    return {"proof": shown, "contracts": contracts(precisions)}


def _suite(name: str, **more: Any) -> Suite:
    return Suite(
        name=name,
        devices=["cuda"],
        threads=2,
        measure=MEASURE,
        meters=["memory", "nvml"],
        **more,
    )


def ladder_of(precisions: Sequence[str]) -> Suite:
    """Return the suite of VGG-16 in all precisions, with cuDNN on and off."""
    return _suite(
        "gpu-ladder",
        workloads=[f"{MODELS}:vgg16"],
        runtimes=["pytorch", f"{MODELS}:WithoutCudnn"],
        precision=list(precisions),
        processes=2,
    )


DETECTOR = _suite(
    "gpu-detector",
    workloads=["faster-rcnn-resnet101"],
    runtimes=["pytorch"],
    precision=["fp32"],
    processes=1,
)


class TimeIsUp(Exception):
    """The command has taken as long as it may."""


def prepare(*suites: Suite) -> None:
    """Prepare the cells of all suites, some at once, so that their runs find them in the cache."""
    jobs = []
    for suite in suites:
        resolved, cells, _ = load_suite(suite, ())
        jobs += [first_job(resolved, cell) for cell in cells]
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        list(pool.map(run_job_in_process, jobs))
    finally:
        pool.shutdown(cancel_futures=True)


def measured(suite: Suite, folder: Path, out_of_time: list[bool]) -> list[dict[str, Any]]:
    """Return the figures of all cells, as far as the time was enough."""
    try:
        found = api.run(suite, folder)
    except TimeIsUp:
        out_of_time.append(True)
        found = api.show(folder)
    rows = []
    for one in found.run.records.values():
        more = {"breakdown": stages(one.breakdown)} if one.breakdown is not None else {}
        rows.append({**row(one), **more})
    return rows


def climbed(suite: Suite, folder: Path, out_of_time: list[bool]) -> list[dict[str, Any]]:
    """Return the figures of all cells, which are measured alone: `proof` shows what ran."""
    from perfsuite.runner.observer import SilentObserver
    from perfsuite.runner.run_folder import created
    from perfsuite.runner.schedule import work_off
    from perfsuite.store.runs import load_run

    resolved, cells, _ = load_suite(suite, ())
    with created(folder, resolved, cells) as journal:
        try:
            work_off(journal, SilentObserver(), evaluate=False, inspect=False)
        except TimeIsUp:
            out_of_time.append(True)
    rows = [row(one) for one in load_run(folder).records.values()]
    for one in rows:
        if one["status"] == "incomplete" and one["processes"] == suite.processes:
            one["status"] = "ok"
    return rows


def median(record: Record, metric: str) -> float | None:
    """Return the median of all samples of a metric; None without any."""
    samples = record.values.get(metric, ())
    return statistics.median(samples) if samples else None


def row(record: Record) -> dict[str, Any]:
    """Return the figures of one cell."""
    latencies = [one for each in record.latencies_s.values() for one in each]
    energies = record.values.get("energy_j", ())
    items = record.evidence.items if record.evidence else ()
    kernels = {item.name: item.value for item in items if item.about == "kernels"}
    return {
        "cell": record.cell.key,
        "runtime": record.cell.runtime,
        "precision": record.cell.precision,
        "status": record.status,
        "error": record.error.message if record.error else "",
        "labels": list(record.labels),
        "processes": len(record.latencies_s),
        "latency_s": statistics.median(latencies) if latencies else None,
        "device_latency_s": median(record, "device_latency_s"),
        "bound_latency_s": median(record, "bound_latency_s"),
        "energy_j": statistics.mean(energies) if energies else None,
        "energy_repeats": max(energies) / min(energies) - 1 if len(energies) > 1 else None,
        "device_peak_bytes": median(record, "device_peak_bytes"),
        "device_clock_hz": median(record, "device_clock_hz"),
        "device_celsius": median(record, "device_celsius"),
        "kernels": record.evidence.kernels if record.evidence else {},
        "libraries": kernels,
    }


def stages(found: Breakdown) -> dict[str, Any]:
    """Return the time of each row, of it that for which the card waits, and what is of no stage."""
    rows = {one.name: one.time_s for one in found.rows}
    return {
        "total_s": found.total_s,
        "untraced_s": found.untraced_s,
        "rows": rows,
        "waiting_s": {one.name: sum(each.time_s for each in _waits(one)) for one in found.rows},
        "unattributed": rows.get(UNATTRIBUTED, 0.0) / found.total_s,
    }


def _waits(row: BreakdownRow) -> Iterator[BreakdownRow]:
    """Yield the rows in which the card waits for the host."""
    if row.level == "operator" and row.name.rpartition("/")[2].partition("_")[0] == PYTHON:
        yield row
    for child in row.children:
        yield from _waits(child)


class Report:
    """What was found until now, written after each step."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._began_s = folder, time.perf_counter()
        self.found: dict[str, Any] = {"steps_s": {}}

    def step(self, name: str, **found: Any) -> None:
        """Take what a step has found, and write all."""
        self.found |= found
        spent_s = time.perf_counter() - self._began_s
        self.found["steps_s"][name] = self.found["seconds"] = spent_s
        self.found["findings"] = findings(self.found)
        for suffix, text in (("json", json.dumps(self.found, indent=1)), ("md", self.page)):
            (self._folder / f"gpu_check.{suffix}").write_text(text)
        print(f"{name}: done after {spent_s:.0f} s", file=sys.stderr, flush=True)

    @property
    def page(self) -> str:
        """Return it as Markdown."""
        return markdown(self.found)


def _started(part: str) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--alone", part]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _told(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what a process has found; raise `Unavailable` with its reason where it failed."""
    try:
        out, said = process.communicate()
    finally:
        process.kill()
    if process.returncode:
        raise Unavailable((said.strip().splitlines() or ["it does not say why"])[-1])
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def check(report: Report, folder: Path) -> None:
    """Work off all steps; each of them is in the report once it is done."""
    report.step("card", **_told(_started("card")))
    ladder = ladder_of(list(report.found["card"]["flops_per_s"]))
    beside = _started("contracts")  # nothing is timed meanwhile
    try:
        prepare(ladder, DETECTOR)
        report.step("preparing")
        report.step("contracts", **_told(beside))
    finally:
        beside.kill()
    out_of_time: list[bool] = []
    report.step("detector", detector=measured(DETECTOR, folder / "detector", out_of_time))
    if out_of_time:
        return
    rows = climbed(ladder, folder / "ladder", out_of_time)
    shown = {(one["runtime"], one["precision"]): one for one in report.found["proof"]}
    for one in rows:
        seen = shown[one["runtime"], one["precision"]]
        one |= {name: seen[name] for name in ("kernels", "libraries")}
    report.step("ladder", ladder=rows)


def main(folder: Path, limit_s: int) -> int:
    """Measure, write both files after each step, print the Markdown; return the exit code."""

    def up(*_: object) -> None:
        raise TimeIsUp

    if there := [one for one in map(folder.joinpath, RUNS) if one.exists()]:
        print(
            f"{there[0]} is of an earlier run: remove it, or name another folder", file=sys.stderr
        )
        return 2
    for sign in (signal.SIGALRM, signal.SIGTERM):
        signal.signal(sign, up)
    signal.alarm(max(1, limit_s))
    report = Report(folder)
    try:
        check(report, folder)
    except TimeIsUp:
        report.step("time is up")
    except Unavailable as error:
        if "card" not in report.found:
            print(error, file=sys.stderr)
            return 3
        failed = {"runtime": "pytorch", "precision": "fp32", "outcome": f"no contract: {error}"}
        report.step("contracts", contracts=[failed])
    finally:
        signal.alarm(0)
    print(report.page)
    return 0 if all(good for good, _ in report.found["findings"]) else 1


if __name__ == "__main__":
    given = sys.argv[1:]
    if given[:1] == ["--alone"]:
        try:
            print(json.dumps(alone(given[1])))
        except Unavailable as error:
            sys.exit(f"unavailable: {error}")
    else:
        default = [*given, LIMIT_S, LIMIT_S][1]
        sys.exit(main(Path(given[0] if given else "reports/gpu-check"), int(default)))
