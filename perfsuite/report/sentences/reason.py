"""Sentences on why a cell cannot be judged or a number is missing."""

from __future__ import annotations

import msgspec

from perfsuite.domain.verdict import Difference, Reason, ReasonKind

_KEYS = 3  # of cells, to name

# The texts of reasons that need only `names`.
_PLAIN: dict[ReasonKind, str] = {
    "not_run": "was not run",
    "cut_short": "incomplete: the run was cut short; finish it with --resume",
    "no_metric": "has no {}",
    "lost_metric": "has no {}, which the baseline has",
    "gone": "is in the baseline but not here",
    "other_threads": (
        "runs with {} threads here, and with {} in the baseline: set `threads` in the suite, so "
        "that it is the same cell on any machine"
    ),
    "no_baseline": "needs a baseline run: give one with --baseline",
    "no_evidence": "was not inspected: nothing shows what ran",
    "no_reference": "needs `against` or `baseline = true`",
    "none_to_run": "no matching cell was to run",
    "not_an_accuracy": "{} is no accuracy: points are not lost",
    "an_accuracy": "{} is an accuracy: limit max_drop_points",
    "simulated": "is only simulated: its time is not that of real kernels",
    "other_shapes": (
        "the inputs that were timed differ in shape ({} here, {} in the baseline): times are not "
        "comparable; make a new baseline"
    ),
    "no_yardstick": "no cell of both runs to divide by",
    "not_a_number": "{} has no interval: it is not a number",
    "zeros": "{} is 0 in some processes, of which there is no ratio: limit it with max",
    "too_few_processes": "{} has no interval: it needs at least 2 processes with valid samples",
    "too_few_in_a_run": "too few processes in one of the runs: measure at least 2",
}


def reason_text(reason: Reason) -> str:
    """Return the reason as a text on the cell or, if `whose` is set, on that reference."""
    if reason.kind == "no_fewer_macs":
        return f"has no fewer MACs than {reason.whose}: no theoretical speed-up to hold it to"
    if (reason.kind, reason.whose) == ("cut_short", "baseline"):
        return "the baseline was cut short before this was measured: finish that with --resume"
    whose = {"": "", "baseline": "in the baseline it "}.get(reason.whose, f"{reason.whose} ")
    return whose + _text(reason)


def _text(reason: Reason) -> str:
    names, text = reason.names, reason.text
    if reason.kind in _PLAIN:
        return _PLAIN[reason.kind].format(*names)
    match reason.kind:
        case "not_ok":
            return f"{names[0]}: {text}" if text else names[0]
        case "no_breakdown":
            return f"has no breakdown: {text}" if text else "has no breakdown"
        case "no_stage":
            return f"has no stage '{names[0]}'; its stages are {', '.join(names[1:])}"
        case "uncounted":
            return f"has MACs that nobody counted: there is no formula for {', '.join(names)}"
        case "no_cell":
            return f"no cell matches '{text}'"
        case "not_one_reference":
            keys = f": {', '.join(names[:_KEYS])}" if names else ""
            return f"against = '{text}' must match one cell of the run, not {len(names)}{keys}"
        case "other_machine":
            return (
                f"the machines differ in {', '.join(map(_difference, reason.differences))}: "
                f'absolute times are not comparable; set compare = "ratio" or make the baseline '
                f"here"
            )
        case "other_device":
            return (
                f"the devices differ ({' here, '.join(names)} in the baseline): absolute times are "
                f'not comparable; set compare = "ratio" or make the baseline here'
            )
    return text  # how the samples differ, as the error says it; what the evidence shows


def _difference(one: Difference) -> str:
    label, ours, theirs = one.field.replace("_", " "), one.here, one.baseline
    if isinstance(ours, tuple | list) and isinstance(theirs, tuple | list):
        only_one = sorted(set(ours) ^ set(theirs))
        more = f" and {len(only_one) - 3} more" if len(only_one) > 3 else ""
        return f"{label} (only one has {', '.join(only_one[:3])}{more})"
    if isinstance(ours, dict) and isinstance(theirs, dict):
        unequal = [key for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key)]
        return f"{label} (of {', '.join(unequal)})"
    return f"{label} ({_plain(ours)} here, {_plain(theirs)} in the baseline)"


def _plain(value: object) -> str:
    return repr(value) if isinstance(value, str) else msgspec.json.encode(value).decode()
