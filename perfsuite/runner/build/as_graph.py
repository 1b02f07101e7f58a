"""Whether an engine answers a rounded graph as it stands, where its answers are far from fp32's.

Rounding may cost that much; then the graph, run as it is, is as far from fp32. An engine that alone
is far off computes something else. Where none did, the errors of two engines on graphs of their own
were within a factor of 1.35 of each other in 46 nets of `benchmarks/zoo.py`.

Where several values are equal, as in 8 bits they often are, an engine may choose another one of
them (`other_ties.py`): what the graph answers then is no further from fp32 than an engine may be.

Of outputs without a cosine (detections, whose number and order may change, and whole numbers) it is
the share of values or rows without an equal that is compared (`unlike.py`), with twice the standard
error that the difference of two shares of so many has at most.

An engine that is off by less may misread an operator all the same. Where it is further from the
graph than values that were rounded to the next step explain, it is asked for its answers to the
graph without rounding (`unrounded.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt
from pathlib import Path

from perfsuite.domain.record import Likeness
from perfsuite.domain.runtime import Manifest
from perfsuite.domain.task import Inputs, Outputs, Task
from perfsuite.errors import BuildError, ParityError, Unsupported
from perfsuite.export.onnx import load_graph
from perfsuite.export.overflow import fits_16_bits
from perfsuite.libraries.vectors import has_vnni
from perfsuite.processor import read_processor
from perfsuite.runner.build.likeness import NOT_FINITE, likeness
from perfsuite.runner.build.reference import ENGINES_FAULT, OVERFLOW, graph_outputs, tied_answers
from perfsuite.runner.build.unlike import Share, unlike

_DOUBTED = 0.1  # of the relative error to fp32, or the share, above which the graph is asked
# An engine's relative distance from the graph, and its share of the graph's own error, above which
# something else than sums in another order may be behind it.
_SUSPECT, _PART = 0.01, 0.25
_TIMES = 2.0  # the graph's own error
_SLACK = sqrt(2)  # / sqrt(n) is twice the standard error of a difference of shares about 1/2


def require_as_graph(
    task: Task,
    manifest: Manifest,
    graph: Path,
    given: Sequence[Inputs],
    expected: Sequence[Outputs],
    answered: Sequence[Outputs],
    found: Sequence[Likeness],
) -> bool:
    """Raise `ParityError` if an engine is much further from the `expected` answers than the graph.

    `answered` are the engine's answers to `given`, and `found` is their likeness. Returns whether
    the engine is suspect: off the graph, and not so far that it is wrong for sure. Nothing is asked
    where it is near enough, and nothing said where ONNX Runtime does not run the graph.
    """
    shares = dict(_shares(found, expected, answered))
    doubted = any((one.relative_error or 0.0) > _DOUBTED for one in found)
    if not doubted and not any(one.value > _allowed(one, 0.0) for one in shares.values()):
        if not any((one.relative_error or 0.0) > _SUSPECT for one in found):
            return False
        given, expected, answered = given[:1], expected[:1], answered[:1]  # which tell enough
        found = likeness(task, manifest, given, expected, answered)
        shares = {}
    try:
        own = [graph_outputs(graph, one) for one in given]
    except (Unsupported, BuildError):
        return False

    def further(answers: Sequence[Outputs]) -> dict[str, str]:
        alike = likeness(task, manifest, given, expected, answers)
        told = {one.output: _further(one, other) for one, other in zip(found, alike, strict=False)}
        told |= {
            name: _more(shares[name], one)
            for name, one in _shares(found, expected, answers)
            if name in shares
        }
        return {output: said for output, said in told.items() if said}

    for output, said in further(own).items():
        tied = tied_answers(graph, given)
        if tied is not None and not further(tied):
            return True
        raise ParityError(
            f"output '{output}': {manifest.runtime} computes something else than the quantized "
            f"graph: {said}; {_cause(graph)}"
        )
    alike = likeness(task, manifest, given, expected, own)
    apart = likeness(task, manifest, given, own, answered)
    return any(_is_suspect(one, other) for one, other in zip(apart, alike, strict=False))


def _is_suspect(apart: Likeness, own: Likeness) -> bool:
    """Tell whether an engine is further from the graph than rounding differently explains."""
    distance, least = apart.relative_error, own.relative_error
    if distance is None or least is None:
        return False
    return distance > max(_SUSPECT, _PART * least)


def _cause(graph: Path) -> str:
    """Return what makes an engine compute something else, and what to do about it."""
    if fits_16_bits(load_graph(graph)) is False and not has_vnni(read_processor().flags):
        return OVERFLOW
    return f"this is no loss by rounding but {ENGINES_FAULT}"


def _shares(
    found: Sequence[Likeness], expected: Sequence[Outputs], answered: Sequence[Outputs]
) -> Iterator[tuple[str, Share]]:
    """Yield how much of each output without a cosine differs, by the output's name."""
    for place, one in enumerate(found):
        if one.left_out not in ("", NOT_FINITE):
            pairs = [(b[place], a[place]) for b, a in zip(expected, answered, strict=True)]
            yield one.output, unlike(pairs, one.left_out)


def _allowed(one: Share, own: float) -> float:
    """Return the share that an engine may be off by, where the graph itself is by `own`."""
    return max(_DOUBTED, _TIMES * own) + _SLACK / sqrt(max(one.among, 1))


def _more(one: Share, own: Share) -> str:
    """Return how much more of an output differs than of the graph's; "" if it is not more."""
    if one.value <= _allowed(one, own.value):
        return ""
    return (
        f"{100 * one.value:.0f} % of its {one.among} {one.what} are not those of fp32, and "
        f"{100 * own.value:.0f} % of those of the graph run as it stands"
    )


def _further(one: Likeness, own: Likeness) -> str:
    """Return how much further an engine is than the graph itself; "" if it is not."""
    error, least = one.relative_error, own.relative_error
    if error is None or least is None or error <= max(_DOUBTED, _TIMES * least):
        return ""
    return (
        f"its relative error to fp32 is {error:.3g} (cosine {one.cosine:.3g}), that of the graph "
        f"run as it stands {least:.3g} (cosine {own.cosine:.3g})"
    )
