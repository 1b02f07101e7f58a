"""Gates of real runs beside their baseline: false alarms, and how many injected changes are found.

    python benchmarks/gates.py OUT [--gates 20] [--effects 0,0.05+0.03]

Six small cells are measured once as a baseline. Then each gate is a whole run of the same suite
beside it, as `perfsuite run --baseline` does. With an effect, the calls of one cell take that much
longer, in the new run alone: a change of known size that nothing else betrays; `0.05+0.03` changes
two cells in the same gates. Prints the exit codes, how many gates found each change (their verdict
on that cell is `regressed`), with the exact interval (Clopper and Pearson 1934), and how long a
gate took.

Gates that OUT holds already are not run again, and one that was cut short goes on. Needs CIFAR-10
(`perfsuite data get cifar10`).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import msgspec

import perfsuite
from perfsuite import api
from perfsuite.domain.cell import Cell
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.domain.verdict import Interval, Verdict
from perfsuite.judge.intervals import proportion_interval
from perfsuite.runner import schedule
from perfsuite.runner.job import Job, first_job
from perfsuite.store.disk import write_whole

# The cells that are slowed down, in the order of the effects.
TARGETS = ("vgg-digits/fp32/onnxruntime/cpu/b8", "shufflenet-cifar10/fp32/openvino/cpu/b8")
DONE = "gate.json"

# A round of twelve processes takes seconds: they time three slices each, and are warm by then.
SUITE = perfsuite.Suite(
    name="gates",
    workloads=["vgg-digits", "shufflenet-cifar10"],
    runtimes=["onnxruntime", "openvino"],
    recipes=[perfsuite.Recipe("int8", [perfsuite.Int8()], workloads=["shufflenet-cifar10"])],
    batches=[8],  # calls of tens of microseconds would mostly time Python
    evaluate=perfsuite.Evaluate(samples=100),
    measure=perfsuite.Measure(calls=5, seconds=0.3, warmup_seconds=0.3, timeout_seconds=120.0),
    minutes=2.5,  # of measuring, so that a gate takes three at most
)


class Gate(msgspec.Struct, frozen=True):
    """What came of one gate."""

    effects: dict[str, float]  # by the key of the cell
    exit_code: int
    rounds: int
    seconds: float
    red: tuple[str, ...]  # the keys of cells with a red verdict
    open: tuple[str, ...]  # and of those with one that is neither red nor green


@contextmanager
def slowed(effects: Mapping[str, float]) -> Iterator[None]:
    """Let the calls of these cells take longer in runs that begin within the context.

    What such runs measure is not added to what is known of the noise between runs.
    """

    def job_of(suite: ResolvedSuite, cell: Cell) -> Job:
        job = first_job(suite, cell)
        recipe = msgspec.structs.replace(job.recipe, slowdown=effects.get(cell.key, 0.0))
        return msgspec.structs.replace(job, recipe=recipe)

    with ExitStack() as stack:
        if any(effects.values()):
            stack.enter_context(patch.object(schedule, "first_job", job_of))
            stack.enter_context(patch.object(api, "add_levels", lambda *_: None))
        yield


def gate(folder: Path, baseline: Path, effects: dict[str, float]) -> Gate:
    """Return what comes of one gate, run now unless `folder` holds it already."""
    done = folder / DONE
    if done.is_file():
        return msgspec.json.decode(done.read_bytes(), type=Gate)
    began = time.perf_counter()
    resume = (folder / "run.jsonl").is_file()
    with slowed(effects):
        judged = perfsuite.run(SUITE, folder, baseline=baseline, resume=resume)
    seconds = time.perf_counter() - began
    rounds = max(len(one.latencies_s) for one in judged.run.records.values())
    found = gated(effects, judged.exit_code, judged.judgement.verdicts, rounds, seconds)
    write_whole(done, msgspec.json.encode(found))
    return found


def gated(
    effects: dict[str, float],
    exit_code: int,
    verdicts: Sequence[Verdict],
    rounds: int,
    seconds: float,
) -> Gate:
    """Return the gate of a judged run."""
    red = [one.cell for one in verdicts if one.status in ("regressed", "over_budget")]
    still_open = [one.cell for one in verdicts if one.status != "pass" and one.cell not in red]
    return Gate(
        effects,
        exit_code,
        rounds,
        round(seconds, 1),
        tuple(dict.fromkeys(red)),
        tuple(dict.fromkeys(still_open)),
    )


def row(effects: Mapping[str, float], gates: Sequence[Gate]) -> str:
    """Return a row of the table: the gates with the same changes."""
    codes = Counter(one.exit_code for one in gates)
    said = ", ".join(f"{code}: {codes[code]}" for code in sorted(codes))
    green = shown(codes[0], len(gates))
    changed = [key for key, effect in effects.items() if effect]
    changes = [f"{effects[key]:+.0%}" for key in changed]
    found = [
        f"{effects[key]:+.0%}: {shown(sum(key in one.red for one in gates), len(gates))}"
        for key in changed
    ]
    others = sum(bool(set(one.red) - set(changed)) for one in gates)
    rounds = sorted(one.rounds for one in gates)
    times = sorted(one.seconds for one in gates)
    return (
        f"| {', '.join(changes) or 'none'} | {len(gates)} | {said} "
        f"| {green} | {', '.join(found)} | {others} "
        f"| {rounds[len(rounds) // 2]} | {times[len(times) // 2]:.0f} | {times[-1]:.0f} |"
    )


def shown(count: int, trials: int) -> str:
    """Return a count with the interval of its share."""
    around: Interval = proportion_interval(count, trials)
    return f"{count} of {trials} ({around.low:.0%} to {around.high:.0%})"


def main() -> None:
    """Run the gates that are asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--gates", type=int, default=20)
    parser.add_argument("--effects", default="0,0.05+0.03")
    given = parser.parse_args()
    baseline = given.out / "baseline"
    if not (baseline / DONE).is_file():
        resume = (baseline / "run.jsonl").is_file()
        judged = perfsuite.run(SUITE, baseline, resume=resume)
        print(judged, file=sys.stderr)
        write_whole(baseline / DONE, msgspec.json.encode({"exit_code": judged.exit_code}))
    lines = []
    for given_effects in given.effects.split(","):
        effects = dict(zip(TARGETS, map(float, given_effects.split("+")), strict=False))
        gates = []
        for number in range(given.gates):
            name = f"{given_effects}-{number:02}"
            gates.append(gate(given.out / name, baseline, effects))
            print(f"{name}: {msgspec.json.encode(gates[-1]).decode()}", file=sys.stderr)
        lines.append(row(effects, gates))
    print(
        "| change | gates | exit codes | green | found | red elsewhere | rounds (median) "
        "| seconds (median) | (most) |"
    )
    print("|---:|---:|---|---|---|---:|---:|---:|---:|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
