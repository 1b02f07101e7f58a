"""What perfsuite does on an NVIDIA card, in one command of at most 8 minutes.

    python benchmarks/gpu_check.py [FOLDER [SECONDS]]

It needs a torch built for CUDA and installs nothing. It holds eager PyTorch to the contract of
runtimes on the card, measures VGG-16 at 224x224 in fp32, TF32, fp16 and bf16 with cuDNN on and off,
all of them taking turns, and breaks down a Faster R-CNN on ResNet-101. What it found it writes into
FOLDER (by default reports/gpu-check): gpu_check.json and gpu_check.md. After SECONDS, by default
450, it tells what it has until then. The exit code is 0 if all is as it must be, 1 if something is
not, and 3 where there is no card.
"""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from perfsuite import Measure, Suite, api
from perfsuite.config.loading import load_suite
from perfsuite.domain.profile import PYTHON, UNATTRIBUTED, Breakdown, BreakdownRow
from perfsuite.domain.record import Record
from perfsuite.errors import Unavailable, Unsupported
from perfsuite.runner.job import first_job
from perfsuite.runner.process import run_job_in_process

HERE = Path(__file__).parent
PRECISIONS = ("fp32", "tf32", "fp16", "bf16")
ENGINES = ("pytorch", "pytorch-channels-last")
OTHERS = ("onnxruntime-cuda", "pytorch-cuda-graphs")  # held to their contract in fp32, if installed
MISSING = "not installed"
MODELS = HERE / "gpu_models.py"
MEASURE = Measure(calls=30, seconds=0.6, warmup_seconds=3.0, timeout_seconds=200)
LONG_S, AGREEMENT, UNKNOWN, REPEATS = 1e-3, 0.05, 0.02, 0.05  # what must be reached


def contracts() -> list[dict[str, str]]:
    """Return whether each engine meets the contract of runtimes on the card, by precision."""
    from perfsuite.runtimes.table import RUNTIMES
    from perfsuite.testing import check_runtime

    found = []
    tried = [(name, precision) for name in ENGINES for precision in PRECISIONS]
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


def card() -> dict[str, Any]:
    """Return which card and which libraries these are, and what the card can reach."""
    import torch

    from perfsuite.runtimes.table import RUNTIMES

    runtime: Any = RUNTIMES["pytorch"]()
    identity = runtime.identify("cuda")
    roofs = {one: runtime.roofline("cuda", one) for one in PRECISIONS}
    return {
        "card": msgspec.to_builtins(identity),
        "torch": torch.__version__,
        "CUDA": torch.version.cuda,
        "cuDNN": torch.backends.cudnn.version(),
        "flops_per_s": {name: roof.flops_per_s for name, roof in roofs.items()},
        "bytes_per_s": max(roof.bytes_per_s for roof in roofs.values()),
    }


def alone() -> dict[str, Any]:
    """Return what needs torch in this process: it is done in one of its own, which then ends."""
    return {"card": card(), "contracts": contracts()}


def _suite(name: str, **more: Any) -> Suite:
    return Suite(
        name=name,
        devices=["cuda"],
        threads=2,
        measure=MEASURE,
        meters=["memory", "nvml"],
        **more,
    )


LADDER = _suite(
    "gpu-ladder",
    workloads=[f"{MODELS}:vgg16"],
    runtimes=["pytorch", f"{MODELS}:WithoutCudnn"],
    precision=list(PRECISIONS),
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
    """Prepare the cells of all suites at once, so that their runs find them in the cache."""
    jobs = []
    for suite in suites:
        resolved, cells, _ = load_suite(suite, ())
        jobs += [first_job(resolved, cell) for cell in cells]
    with ThreadPoolExecutor(len(jobs)) as pool:
        list(pool.map(run_job_in_process, jobs))


def measured(suite: Suite, folder: Path) -> list[dict[str, Any]]:
    """Return the figures of the suite's cells, as many as are known when the time is up."""
    try:
        found = api.run(suite, folder)
    except TimeIsUp:
        found = api.show(folder)
    rows = []
    for one in found.run.records.values():
        more = {"breakdown": stages(one.breakdown)} if one.breakdown is not None else {}
        rows.append({**row(one), **more})
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


def findings(report: dict[str, Any]) -> list[tuple[bool, str]]:
    """Return what was found, and whether it is as it must be."""
    found = [
        (one["outcome"] == "pass", f"{one['runtime']} in {one['precision']}: {one['outcome']}")
        for one in report["contracts"]
        if one["outcome"] != "pass" and not one["outcome"].startswith(MISSING)
    ]
    ladder = {(one["runtime"], one["precision"]): one for one in report["ladder"]}
    for one in (*report["ladder"], *report["detector"]):
        if one["status"] == "incomplete" and one["processes"]:
            found.append((True, f"{one['cell']}: in 1 process, as the time was up"))
        elif one["status"] != "ok":
            found.append((False, f"{one['cell']}: {one['status']}: {one['error'][:300]}"))
    found += [*_clocks(report), *_worth(ladder), *_energies(report)]
    for one in (*report["ladder"], *report["detector"]):
        if "breakdown" not in one:
            continue
        share = one["breakdown"]["unattributed"]
        text = f"{one['cell']}: {100 * share:.2g} % of the call is not attributed to a stage"
        found.append((share <= UNKNOWN, text))
    labels = sorted({label for one in report["ladder"] for label in one["labels"]} - {"unlabelled"})
    if labels:
        found.append((True, f"labels of the ladder: {', '.join(labels)}"))
    return found


def _clocks(report: dict[str, Any]) -> Iterator[tuple[bool, str]]:
    long = [
        one
        for one in (*report["ladder"], *report["detector"])
        if (one["bound_latency_s"] or 0.0) >= LONG_S
    ]
    if long:
        worst = max(abs(one["device_latency_s"] / one["bound_latency_s"] - 1) for one in long)
        yield (
            worst <= AGREEMENT,
            f"host and event clock differ by {100 * worst:.2g} % at most, of {len(long)} cells "
            f"over 1 ms",
        )


def _worth(ladder: dict[tuple[str, str], dict[str, Any]]) -> Iterator[tuple[bool, str]]:
    def ratio(one: tuple[str, str], other: tuple[str, str]) -> float | None:
        pair = [(ladder.get(key) or {}).get("device_latency_s") for key in (one, other)]
        return pair[0] / pair[1] if all(pair) else None

    for precision in PRECISIONS:
        worth = ratio(("WithoutCudnn", precision), ("pytorch", precision))
        if worth is not None:
            yield True, f"cuDNN is worth {worth:.2f}x in {precision}"
    for precision in PRECISIONS[1:]:
        gain = ratio(("pytorch", "fp32"), ("pytorch", precision))
        if gain is not None:
            yield True, f"{precision} is {gain:.2f}x as fast as fp32"


def _energies(report: dict[str, Any]) -> Iterator[tuple[bool, str]]:
    known = [one for one in report["ladder"] if one["energy_repeats"] is not None]
    if known:
        worst = max(one["energy_repeats"] for one in known)
        text = f"energy repeats within {100 * worst:.2g} % between processes, of {len(known)} cells"
        yield worst <= REPEATS, text


def markdown(report: dict[str, Any]) -> str:
    """Return the report for people."""
    facts = report["card"]
    name = facts["card"]["name"]
    peaks = ", ".join(f"{one} {f / 1e12:.0f}" for one, f in facts["flops_per_s"].items())
    lines = [
        f"## On {name}",
        "",
        f"torch {facts['torch']}, CUDA {facts['CUDA']}, cuDNN {facts['cuDNN']}. Peaks as measured: "
        f"{peaks} TFLOP/s; {facts['bytes_per_s'] / 1e12:.2f} TB/s. "
        f"The command took {report['seconds']:.0f} s.",
        "",
        *_contract_table(report["contracts"]),
        "VGG-16 at 224x224, batch 1: latency from host arrays to host arrays; device latency with "
        "inputs on the card, by CUDA events.",
        "",
        "| engine | precision | latency | device latency | energy | memory | clock | ran in |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
        *(_ladder_line(one) for one in report["ladder"]),
        "",
        *_stage_table(report["detector"]),
        "| | found |",
        "| --- | --- |",
        *(f"| {'✓' if good else '✗'} | {text} |" for good, text in report["findings"]),
        "",
    ]
    return "\n".join(lines)


def _contract_table(contracts: list[dict[str, str]]) -> list[str]:
    heads = ("contract of runtimes", *PRECISIONS)
    lines = [f"| {' | '.join(heads)} |", f"| --- |{' --- |' * len(PRECISIONS)}"]
    for name in dict.fromkeys(one["runtime"] for one in contracts):
        outcomes = {one["precision"]: one["outcome"] for one in contracts if one["runtime"] == name}
        shown = [_outcome(outcomes.get(precision, "")) for precision in PRECISIONS]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return [*lines, ""]


def _outcome(text: str) -> str:
    if text in ("", "pass"):
        return text
    return MISSING if text.startswith(MISSING) else "fails"


def _ladder_line(one: dict[str, Any]) -> str:
    from perfsuite.report import words
    from perfsuite.runtimes.shared.precision import compute_precisions

    def shown(key: str, unit: str) -> str:
        return "" if one[key] is None else words.quantity(one[key], unit)

    ran = ", ".join(f"{n} {p}" for p, n in compute_precisions(one["kernels"]).items())
    cells = (
        one["runtime"],
        one["precision"],
        shown("latency_s", "s") or one["status"],
        shown("device_latency_s", "s"),
        shown("energy_j", "J"),
        shown("device_peak_bytes", "B"),
        shown("device_clock_hz", "Hz"),
        ran,
    )
    return f"| {' | '.join(cells)} |"


def _stage_table(cells: list[dict[str, Any]]) -> list[str]:
    from perfsuite.report import words

    known = [one for one in cells if "breakdown" in one]
    if not known:
        return []
    headings = [f"{one['precision']} | share | waits" for one in known]
    heads = [
        "Faster R-CNN on ResNet-101, 600x800, where the time of a call goes (of it the card waits "
        "for the host): profiled calls take "
        + ", ".join(
            f"{words.seconds(one['breakdown']['total_s'])} in {one['precision']} "
            f"({words.seconds(one['breakdown']['untraced_s'])} without a profiler)"
            for one in known
        )
        + ".",
        "",
        f"| stage | {' | '.join(headings)} |",
        f"| --- |{' ---: | ---: | ---: |' * len(known)}",
    ]
    names = list(dict.fromkeys(name for one in known for name in one["breakdown"]["rows"]))
    lines = []
    for name in names:
        texts = [name]
        for one in known:
            found = one["breakdown"]
            time_s, waits_s = found["rows"].get(name, 0.0), found["waiting_s"].get(name, 0.0)
            share = f"{100 * time_s / found['total_s']:.1f} %"
            texts += [words.seconds(time_s), share, words.seconds(waits_s)]
        lines.append(f"| {' | '.join(texts)} |")
    return [*heads, *lines, ""]


def main(folder: Path, limit_s: int) -> int:
    """Measure, write both files, print the Markdown; return the exit code."""
    began_s = time.perf_counter()
    command = [sys.executable, __file__, "--alone"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
        return 3
    report: dict[str, Any] = {**json.loads(done.stdout.splitlines()[-1]), "steps_s": {}}

    def up(*_: object) -> None:
        raise TimeIsUp

    def step(name: str) -> None:
        report["steps_s"][name] = report["seconds"] = time.perf_counter() - began_s
        print(f"{name}: done after {report['seconds']:.0f} s", file=sys.stderr, flush=True)

    step("contracts")
    signal.signal(signal.SIGALRM, up)
    signal.alarm(max(1, limit_s - int(report["seconds"])))
    prepare(LADDER, DETECTOR)
    step("preparing")
    report["detector"] = measured(DETECTOR, folder / "detector")
    step("detector")
    report["ladder"] = measured(LADDER, folder / "ladder")
    signal.alarm(0)
    step("ladder")
    report["findings"] = findings(report)
    (folder / "gpu_check.json").write_text(json.dumps(report, indent=1))
    (folder / "gpu_check.md").write_text(markdown(report))
    print(markdown(report))
    return 0 if all(good for good, _ in report["findings"]) else 1


if __name__ == "__main__":
    given = sys.argv[1:]
    if given == ["--alone"]:
        try:
            print(json.dumps(alone()))
        except Unavailable as error:
            sys.exit(f"unavailable: {error}")
    else:
        sys.exit(main(Path(given[0] if given else "reports/gpu-check"), int([*given, 450, 450][1])))
