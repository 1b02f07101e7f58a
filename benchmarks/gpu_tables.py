"""What benchmarks/gpu_check.py has found, as findings and as Markdown, by its report alone.

Parts that were not reached are missing in a report, and so in its tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from perfsuite.report import words
from perfsuite.runtimes.shared.precision import compute_precisions

PRECISIONS = ("fp32", "tf32", "fp16", "bf16")
STEPS = ("card", "contracts", "detector", "ladder")
MISSING = "not installed"
LONG_S, AGREEMENT, UNKNOWN, REPEATS = 1e-3, 0.05, 0.02, 0.05  # what must be reached


def findings(report: dict[str, Any]) -> list[tuple[bool, str]]:
    """Return what was found, and whether it is as it must be."""
    found = [
        (False, f"{name} was not reached in {report['seconds']:.0f} s")
        for name in STEPS
        if name not in report
    ]
    found += [
        (False, f"{one['runtime']} in {one['precision']}: {one['outcome']}")
        for one in (*report.get("contracts", ()), *report.get("proof", ()))
        if one["outcome"] != "pass" and not one["outcome"].startswith(MISSING)
    ]
    ladder = {(one["runtime"], one["precision"]): one for one in report.get("ladder", ())}
    for one in _cells(report):
        if one["status"] == "incomplete" and one["processes"]:
            found.append((True, f"{one['cell']}: in 1 process, as the time was up"))
        elif one["status"] != "ok":
            found.append((False, f"{one['cell']}: {one['status']}: {one['error'][:300]}"))
    found += [*_clocks(report), *_worth(ladder), *_energies(report)]
    for one in _cells(report):
        if "breakdown" not in one:
            continue
        share = one["breakdown"]["unattributed"]
        text = f"{one['cell']}: {100 * share:.2g} % of the call is not attributed to a stage"
        found.append((share <= UNKNOWN, text))
    every = {label for one in report.get("ladder", ()) for label in one["labels"]}
    labels = sorted(every - {"unlabelled"})
    if labels:
        found.append((True, f"labels of the ladder: {', '.join(labels)}"))
    return found


def _cells(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from report.get("ladder", ())
    yield from report.get("detector", ())


def _clocks(report: dict[str, Any]) -> Iterator[tuple[bool, str]]:
    long = [one for one in _cells(report) if (one["bound_latency_s"] or 0.0) >= LONG_S]
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
    known = [one for one in report.get("ladder", ()) if one["energy_repeats"] is not None]
    if known:
        worst = max(one["energy_repeats"] for one in known)
        text = f"energy repeats within {100 * worst:.2g} % between processes, of {len(known)} cells"
        yield worst <= REPEATS, text


def markdown(report: dict[str, Any]) -> str:
    """Return the report for people."""
    found = [
        "| | found |",
        "| --- | --- |",
        *(f"| {'✓' if good else '✗'} | {text} |" for good, text in report.get("findings", ())),
        "",
    ]
    return "\n".join(
        [
            *_card_lines(report),
            *_contract_table(report.get("contracts", [])),
            *_ladder_table(report.get("ladder", [])),
            *_stage_table(report.get("detector", [])),
            *found,
        ]
    )


def _card_lines(report: dict[str, Any]) -> list[str]:
    took = f"The command took {report['seconds']:.0f} s."
    if "card" not in report:
        return [took, ""]
    facts = report["card"]
    peaks = ", ".join(f"{one} {f / 1e12:.0f}" for one, f in facts["flops_per_s"].items())
    return [
        f"## On {facts['card']['name']}",
        "",
        f"torch {facts['torch']}, CUDA {facts['CUDA']}, cuDNN {facts['cuDNN']}. Peaks as measured: "
        f"{peaks} TFLOP/s; {facts['bytes_per_s'] / 1e12:.2f} TB/s. {took}",
        "",
    ]


def _ladder_table(ladder: list[dict[str, Any]]) -> list[str]:
    if not ladder:
        return []
    return [
        "VGG-16 at 224x224, batch 1: latency from host arrays to host arrays; device latency with "
        "inputs on the card, by CUDA events.",
        "",
        "| engine | precision | latency | device latency | energy | memory | clock | ran in |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
        *(_ladder_line(one) for one in ladder),
        "",
    ]


def _contract_table(contracts: list[dict[str, str]]) -> list[str]:
    if not contracts:
        return []
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
