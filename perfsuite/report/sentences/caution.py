"""Sentences on cautions, and on why a variant is not proven faster."""

from __future__ import annotations

from perfsuite.domain.judgement import (
    Cause,
    Caution,
    DividedBy,
    ExpectationUnmet,
    InParts,
    Labelled,
    LatenciesLeftOut,
    LittleComputes,
    LittleInt8,
    MacsNotFewer,
    NotBeside,
    NotChosen,
    NotFaster,
    NotInBaseline,
    NotProfiled,
    NotTogether,
    NotVisible,
    OfOtherRun,
    OfOtherWorkload,
    OnlySimulated,
    OnValidation,
    ProcessesDiffer,
    Quick,
    RowTooSlow,
    TimeWasUp,
    TooManyThreads,
    Unlike,
    VersionChange,
    VersionsDiffer,
)
from perfsuite.domain.record import (
    ALIKE,
    FROZEN,
    IN_FLOAT,
    INT8_ALREADY,
    MAY_OVERFLOW,
    NAN_OF_MADE_UP,
    NO_PICTURES,
    NOT_COMPARED,
)
from perfsuite.judge.realised import FEWER
from perfsuite.report import words
from perfsuite.report.sentences.reason import reason_text

_LABELS = {
    NAN_OF_MADE_UP: (
        "the model gives NaN on inputs that were made up, and its times need not be those of real "
        "ones: give samples, which decide whether that is a fault"
    ),
    NOT_COMPARED: (
        "its answers were not compared with those of the file, because onnxruntime, which gives "
        "these, does not take it"
    ),
    ALIKE: (
        "the model gives different inputs the same answers, to 1e-4 of the largest, as one whose "
        "last layer is not trained does, or a detector that finds nothing: that a variant's are "
        "like them proves nothing; give it trained weights, or samples that it tells apart"
    ),
    INT8_ALREADY: (
        "the file rounds to 8 bits by itself and is timed as it is; what that costs in accuracy "
        "a budget tells, against the float file as another workload with the same samples"
    ),
    IN_FLOAT: "the file is INT8, but this engine computed all of its products in float",
    MAY_OVERFLOW: (
        "the file's weights have 8 bits, and this processor, which has no VNNI, adds products of "
        "bytes in 16 bits, which overflow: answers may be wrong here, and right where there is "
        "VNNI; quantize the model again with weights of 7 bits (reduce_range)"
    ),
    NO_PICTURES: (
        "the pictures to be looked at could not be written into the run's folder, as where the "
        "disk is full; nothing else is missing"
    ),
}


_FROZEN = (
    "its forward reads values of its input in Python, at {}: the graph keeps for good what one "
    "input gave there, and other inputs may be answered wrongly; torch.where and torch.cond stay "
    "open"
)


def caution_sentence(caution: Caution) -> str:
    """Return the warning."""
    match caution:
        case str():
            return caution
        case Quick():
            return "--quick measured too little to be believed: for a first look alone"
        case OnValidation():
            return (
                "accuracies are those of validation samples, by which variants may be chosen; what "
                'was chosen is judged by test samples: evaluate = { split = "test" }'
            )
        case TooManyThreads(threads=threads, cores=cores):
            return (
                f"threads = {threads}, but only {cores} could run at once on this machine: threads "
                f"that wait for each other are slow, and their times spread"
            )
        case TimeWasUp(minutes=minutes, open_verdicts=count):
            return (
                f"measuring ended after {minutes:g} minute{'s' * (minutes != 1)} with {count} "
                f"verdict{'s' * (count != 1)} open: give it more `minutes`, or fewer cells"
            )
        case LatenciesLeftOut(cell=cell, rounds=rounds):
            return (
                f"{cell}: latencies of round {', '.join(map(str, rounds))} are not all positive "
                f"numbers and were left out"
            )
        case NotTogether(cells=cells):
            return (
                f"{', '.join(cells)}: measured one after the other, because this system lets no "
                f"processes take turns: what disturbs one alone is in its ratios"
            )
        case Labelled(label=label, cells=cells):
            return f"{', '.join(cells)}: {_label(label)}"
        case LittleInt8():
            return _little_int8(caution)
        case Unlike(cell=cell, output=output, cosine=cosine):
            return (
                f"{cell}: it answers little like the fp32 model: the mean cosine of output "
                f"'{output}' is {cosine:.3f}, and no labelled samples tell whether that matters"
            )
        case InParts():
            return _in_parts(caution)
        case ExpectationUnmet(cell=cell, status=status, reason=why):
            return f"{cell} was expected to be {status} ({why}) but ran: drop that [[expect]]"
        case NotFaster():
            return _not_faster(caution)
        case VersionsDiffer(changes=changes):
            differing = ", ".join(version_text(one) for one in changes)
            return f"versions differ from the baseline's: {differing}"
        case NotInBaseline(cell=cell):
            return f"{cell} has no ok record in the baseline: its changes are not judged"
        case NotChosen(cells=cells):
            return f"not judged, because --only left them out: {', '.join(cells)}"
        case NotBeside(cells=cells, reason=why):
            return f"{', '.join(cells)}: compared with stored times: {why}"
        case DividedBy(cell=cell):
            return (
                f'compare = "ratio" divides by {cell}: what slows that cell, or all alike, is not '
                f"seen"
            )
        case NotProfiled(cell=cell, reason=reason):
            return f"{cell} {reason_text(reason)}"
        case NotVisible():
            return _not_visible(caution)
        case OfOtherWorkload(budget=budget, cells=cells, against=against):
            same = "/".join(against.split("/")[1:3])
            return (
                f"budget '{budget}' holds {', '.join(cells)} against {against}, of another "
                f'workload; for the cell of the same workload write against = "{same}"'
            )
        case OfOtherRun(run=run, caution=inner):
            return f"{run}: {caution_sentence(inner)}"


def _label(label: str) -> str:
    if label.startswith(FROZEN):
        return _FROZEN.format(label.removeprefix(FROZEN))
    return _LABELS.get(label, label)


_BODIES = ("If", "Loop", "Scan", "SequenceMap")
_RECURRENT = ("GRU", "LSTM", "RNN")
_OF_ONNX_RUNTIME = "com.microsoft"


def _little_int8(one: LittleInt8) -> str:
    whole = f"{one.cell}: only {words.percent(one.share)} of its MACs ran in 8 bits"
    rest = "the engine has no 8-bit kernels for the rest, or its weights are not constant"
    inside = {kind: share for kind, share in one.in_float.items() if kind in _BODIES}
    recurrent = {kind: share for kind, share in one.in_float.items() if kind in _RECURRENT}
    fused = {k: share for k, share in one.in_float.items() if k.startswith(_OF_ONNX_RUNTIME)}
    told = [
        f"{words.percent(sum(shares.values()))} {said.format(' and '.join(shares))}"
        for shares, said in (
            (inside, "lie inside of {}, where int8 rounds nothing"),
            (recurrent, "are those of {}, which int8 leaves in float"),
            (
                fused,
                "are those of {}, which ONNX Runtime wrote when it optimized the file: give the "
                "file that this one was made from",
            ),
        )
        if shares
    ]
    others = len(one.in_float) - len(inside) - len(recurrent) - len(fused)
    return f"{whole}: {'; '.join([*told, rest] if others or not told else told)}"


def _in_parts(one: InParts) -> str:
    text = "not all that is compared fits into memory together"
    if one.parts:
        parts = "; ".join(", ".join(keys) for keys in one.parts)
        text += f": measured in {len(one.parts)} parts ({parts})"
    if one.alone:
        text += f": {', '.join(one.alone)} measured alone, so that disturbances are in its ratios"
    return text


def _not_faster(one: NotFaster) -> str:
    around = words.spread(one.speedup, words.times)
    measured = f"{words.times(one.speedup.value)}{around}"
    if words.is_noise(one.speedup):
        measured = "its processes differ so much that there is no figure"
    text = f"{one.cell} is {one.pace} than {one.parent}: {measured}"
    return text if one.cause is None else f"{text}: {cause_text(one.cause)}"


def _not_visible(one: NotVisible) -> str:
    if one.limit == 0.0:
        return (
            f"budget '{one.budget}' allows no increase at all, and this machine cannot show that "
            f"there is none (certified {one.certified}): code that has not changed is never green; "
            f"allow what would not matter, such as max_increase = 0.03"
        )
    whose = "regressions are" if one.budget == "regression" else f"budget '{one.budget}' is"
    seen = (
        "sees no change that was tried"
        if one.visible is None
        else f"sees changes of {words.percent(one.visible)}"
    )
    return (
        f"{whose} about changes of {words.percent(one.limit)}, and this machine {seen} in "
        f"{one.rounds} rounds (certified {one.certified}): measure more processes, beside the "
        f"baseline, or on a quieter machine"
    )


def cause_text(cause: Cause) -> str:
    """Return why a compressed cell is not proven faster, as the end of a sentence."""
    match cause:
        case OnlySimulated():
            return "it is only simulated: its time is not that of real kernels"
        case MacsNotFewer(macs_ratio=macs_ratio):
            return _macs(macs_ratio)
        case ProcessesDiffer(processes=count, least=least, most=most):
            return (
                f"its {count} processes range from {words.times(least)} to {words.times(most)}: "
                f"measure more of them"
            )
        case RowTooSlow():
            return _row_too_slow(cause)
        case LittleComputes(share=share, before=before):
            return (
                f"{words.percent(share)} of its call are engine overhead and operators without "
                f"MACs ({words.percent(before)} before), which fewer MACs do not shorten"
            )


def _macs(macs_ratio: float) -> str:
    if macs_ratio < 1.0 / FEWER:
        return f"it has {words.times(1.0 / macs_ratio)} the MACs"
    if macs_ratio == 1.0:
        return "its MACs have not changed"
    return f"its MACs have hardly changed: {words.signed_percent(1.0 / macs_ratio - 1.0)}"


def _row_too_slow(cause: RowTooSlow) -> str:
    before = words.seconds(cause.before_s) if cause.before_s else "nothing"
    text = f"{cause.row} takes {words.seconds(cause.now_s)} of a profiled call, {before} before"
    if cause.macs_ratio < FEWER:
        return text
    return f"{text}, with {words.part(cause.macs_ratio)} of the MACs"


def version_text(change: VersionChange) -> str:
    """Return `torch 2.15 -> 2.16`."""
    return f"{change.library} {change.before or 'none'} -> {change.now or 'none'}"
