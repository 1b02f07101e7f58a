"""The rows of the zoo: what is wrong with one, and the tables for RESULTS.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from perfsuite.domain.record import ALIKE

Row = Mapping[str, Any]

# Of INT8 to fp32, in nets of random weights: 0.88 in MobileNetV2, 0.89 there by quantize_static;
# in LCNet 0.84 and 0.85, and over six pictures 0.83 and 0.80.
LEAST_COSINE = 0.8
# What nets lose whoever rounds them: with weights in 7 bits 0.70 here over 16 pictures, with 8 bits
# 0.66 on ONNX Runtime by quantize_static and 0.71 by NNCF; in EfficientNetV2-S 0.74, 0.72, 0.73; in
# LeViT-128S 0.89, 0.76, 0.80, and less over the six pictures that the survey has.
LESS = {
    "torchvision:fcn_resnet50": 0.65,
    "torchvision:efficientnet_v2_s": 0.7,
    "timm:levit_128s": 0.75,
}
MACS_AGREE = 0.03  # tables that eager PyTorch computes in each call are constants in a graph
LEFT_OPEN = 0.2  # of a call's time that is nobody's
MACS_KEPT = 0.8  # what prune and lowrank were asked for

# What may be refused, by the words of it, and what stands in the table for it.
REFUSALS = {
    r"it needs the graph of the whole model, which runs in pieces": (
        "the model runs in pieces, and INT8 needs its whole graph"
    ),
    r"all that pays on \w+ keeps more than": "factors do not bring it down to 80 % of the MACs",
    r"no layer is faster by": "no layer has fewer MACs in factors",
    r"no layer of \w+ can be pruned: .*its channels go through (mean|native_layer_norm)": (
        "all channels go through a mean or a normalization of them all"
    ),
    r"no layer of \w+ can be pruned: .*\(a ScaledStdConv2d\) answers otherwise": (
        "weights are standardized in each call, over all channels that a layer reads"
    ),
    r"none of its layers can be factorized": "no layer can be factorized, by its kind",
}


def faults(row: Row) -> list[str]:
    """Return what is wrong in a row, in words; nothing for one that may stand."""
    cells: Mapping[str, Any] = row["cells"]
    least = LESS.get(row["net"], LEAST_COSINE)
    found = [
        f"{name}: {fault}" for name, one in cells.items() for fault in _faults(name, one, least)
    ]
    eager = cells.get("fp32/pytorch", {}).get("macs")
    for name, one in cells.items():
        if not eager or one["status"] != "ok":
            continue
        share = one["macs"] / eager
        if name.startswith(("fp32", "int8")) and abs(share - 1) > MACS_AGREE:
            found.append(f"{name}: {share:.3f} of the MACs that eager PyTorch has")
        if name.startswith(("prune", "lowrank")) and share > MACS_KEPT + MACS_AGREE:
            found.append(f"{name}: {share:.3f} of the MACs, and {MACS_KEPT} was asked for")
    return found


def _faults(name: str, one: Row, least: float) -> Iterable[str]:
    status = one["status"]
    if status == "unsupported":
        if refusal(one["message"]) is None:
            yield f"refused for a reason that nobody has looked at: {one['message']}"
        return
    if status != "ok":
        yield f"{status}: {one.get('kind', '')}: {one.get('message', '')}"
        return
    if ALIKE in one.get("labels", ()):
        yield "the net gives different inputs the same answers, which prove nothing"
    if name.startswith("int8") and one.get("cosine", 1.0) < least:
        yield f"cosine to fp32 is {one['cosine']}"
    if one.get("missing", 0.0) > 1e-6:
        yield f"the rows of the breakdown are off by {one['missing']:.1e} of the call"
    if one.get("unattributed", 0.0) > LEFT_OPEN:
        yield f"{one['unattributed']:.0%} of the call are nobody's"


def refusal(message: str) -> str | None:
    """Return what a refusal means in the table; None for one that is not known."""
    return next((said for words, said in REFUSALS.items() if re.search(words, message)), None)


def tables(rows: Iterable[Row]) -> str:
    """Return for each processor a heading, the table of its rows and how many cells of it work."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["processor"], []).append(row)
    return "\n\n".join(
        f"### Processors with {name}\n\n{table(own)}\n\n{summary(own)}"
        for name, own in found.items()
    )


def table(rows: Iterable[Row]) -> str:
    """Return the Markdown table, and below it why cells were refused."""
    reasons: dict[str, str] = {}
    lines = [
        "| net | input | MACs | fp32 | INT8, ONNX Runtime | INT8, OpenVINO | pruned | low rank |",
        "| --- | --- | ---: | --- | --- | --- | --- | --- |",
        *(_line(row, reasons) for row in rows),
    ]
    below = [f"{letter}) {said}" for said, letter in reasons.items()]
    return "\n".join([*lines, *(["", "; ".join(below) + "."] if below else [])])


def summary(rows: Iterable[Row]) -> str:
    """Return how many cells work, are refused, and are neither, and of which version INT8 is."""
    rows = list(rows)
    states = [one["status"] for row in rows for one in row["cells"].values()]
    worked, refused = states.count("ok"), states.count("unsupported")
    wrong = sum(len(faults(row)) for row in rows)
    return (
        f"{len(rows)} nets, {len(states)} cells: {worked} work, {refused} are refused, "
        f"{wrong} faults. {_versions(rows)}"
    )


def _versions(rows: Iterable[Row]) -> str:
    """Return the versions of the INT8 pass, and the nets of each but the most frequent."""
    nets: dict[str, list[str]] = {}
    for row in rows:
        nets.setdefault(str(row.get("int8", "not recorded")), []).append(row["net"])
    most, *others = sorted(nets, key=lambda one: -len(nets[one]))
    more = [f"{one} for {', '.join(nets[one])}" for one in others]
    return f"Version of INT8: {'; '.join([most, *more])}."


def _line(row: Row, reasons: dict[str, str]) -> str:
    cells = row["cells"]
    eager = cells.get("fp32/pytorch", {})
    sides = [one for shape in eager.get("inputs", {}).values() for one in shape[-2:]]
    shapes = [shape[1:] for shape in eager.get("inputs", {}).values()]
    words = [row["net"], "x".join(map(str, shapes[0])) if sides else "?"]
    words.append(_macs(eager.get("macs", 0)))
    words.append(_float([cells.get(f"fp32/{e}") for e in ("pytorch", *_ENGINES)], reasons))
    words += [_int8(cells.get(f"int8/{engine}"), reasons) for engine in _ENGINES]
    for recipe in ("prune", "lowrank"):
        found = [cells.get(f"{recipe}/{engine}") for engine in _ENGINES]
        words.append(_smaller(found, eager.get("macs", 0), reasons))
    return f"| {' | '.join(words)} |"


_ENGINES = ("onnxruntime", "openvino")


def _macs(count: int) -> str:
    return f"{count / 1e9:.3g} G" if count >= 1e9 else f"{count / 1e6:.3g} M"


def _float(cells: list[Row | None], reasons: dict[str, str]) -> str:
    bad = [_bad(one, reasons) for one in cells if one is None or one["status"] != "ok"]
    if bad:
        return ", ".join(dict.fromkeys(bad))
    pieces = any("split" in one["labels"] for one in cells if one)
    return "in pieces" if pieces else "ok"


def _int8(one: Row | None, reasons: dict[str, str]) -> str:
    if one is None or one["status"] != "ok":
        return _bad(one, reasons)
    share = f"{one['int8_share']:.0%}" if "int8_share" in one else "ok"
    return f"{share}, {one['cosine']:.4f}" if "cosine" in one else share


def _smaller(cells: list[Row | None], macs: int, reasons: dict[str, str]) -> str:
    bad = [_bad(one, reasons) for one in cells if one is None or one["status"] != "ok"]
    if bad:
        return ", ".join(dict.fromkeys(bad))
    return f"{cells[0]['macs'] / macs:.0%} of MACs" if cells[0] and macs else "ok"


def _bad(one: Row | None, reasons: dict[str, str]) -> str:
    if one is None:
        return "not run"
    said = refusal(one.get("message", "")) if one["status"] == "unsupported" else None
    if said is None:
        return f"**{one['status']}**"
    letter = reasons.setdefault(said, chr(ord("a") + len(reasons)))
    return f"refused ({letter})"
