"""Whether a switch was seen to act, by what ran with it and without; pure functions of evidence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from perfsuite.domain.instruction_sets import BASELINE, named
from perfsuite.domain.record import Evidence
from perfsuite.libraries.switches import Switch
from perfsuite.libraries.used import used

NOTHING = "none"

_MOST = 3  # things in one text

_Tell = Callable[[Evidence], list[str]]


class Acted(msgspec.Struct, frozen=True):
    """Whether what ran was other than without the switch, and how: `before` and `after` in words.

    `seen` is None where the evidence tells nothing of what the switch changes.
    """

    seen: bool | None
    before: str = ""
    after: str = ""


def acted(switch: Switch, whole: Evidence | None, without: Evidence | None) -> Acted:
    """Return whether the evidence of a cell's process shows that a switch has acted in it.

    `whole` is that of the cell without the switch.
    """
    if whole is None or without is None:
        return Acted(None)
    if _is_unused(switch, whole) and _is_unused(switch, without):
        return Acted(False, "not used", "not used")
    told = False
    for tell in _tells(switch):
        before, after = tell(whole), tell(without)
        if before != after:
            return Acted(True, _text(before, after), _text(after, before))
        told = told or bool(before)
    return Acted(False if told else None)


def _is_unused(switch: Switch, evidence: Evidence) -> bool:
    """Tell whether it is known of all layers that the switch's library computes none of them."""
    whole_library = bool(switch.environment or switch.call) and "threads" not in switch.options
    whole_library = (
        whole_library and not switch.precisions
    )  # else it is about how all of them round
    return whole_library and bool(evidence.layers) and switch.library not in used(evidence)


def _text(these: list[str], those: list[str]) -> str:
    """Return those of `these` that are not among the others."""
    own = [one for one in these if one not in those]
    more = len(own) - _MOST
    return (", ".join(own[:_MOST]) or NOTHING) + (f" and {more} more" if more > 0 else "")


def _tells(switch: Switch) -> Iterator[_Tell]:
    """Yield what is looked at, one thing after the other, until one differs."""
    title = switch.library
    if "threads" in switch.options:
        yield _threads
    elif "channels_last" in switch.options:
        yield _layouts
        yield _kernels
    elif "optimized" in switch.options or switch.precisions:
        yield _kernels
    elif switch.environment:  # a cap: that as many layers run by the library says nothing of it
        yield lambda evidence: _sets(evidence, title)
        yield lambda evidence: _items(evidence, "setting", (f"{title} ",))
    else:
        yield lambda evidence: _use(evidence, title)
        yield lambda evidence: _items(evidence, "setting", (f"{title} ", f"{title}."))


def _layouts(evidence: Evidence) -> list[str]:
    """Return how tensors lie in memory, without the layouts that none of them has."""
    return [re.sub(r", 0 [\w-]+|\b0 [\w-]+, ", "", one) for one in _items(evidence, "layout")]


def _use(evidence: Evidence, title: str) -> list[str]:
    """Return by how much a library was used; empty where nothing is known of any layer."""
    use = used(evidence).get(title)
    if use is not None:
        return [use.text]
    return [f"0 of {len(evidence.layers)} layers"] if evidence.layers else []


def _sets(evidence: Evidence, title: str) -> list[str]:
    """Return the instruction sets of a library's kernels, else the one that it says it takes."""
    use = used(evidence).get(title)
    if use is not None and use.instruction_sets:
        return list(use.instruction_sets)
    said = (_items(evidence, about, (title,)) for about in ("instruction set", "dispatch"))
    # What names none, such as `Intel(R) Architecture processors`, tells nothing.
    return next(filter(None, ([one for one in some if _names_one(one)] for some in said)), [])


def _names_one(text: str) -> bool:
    return text == BASELINE or bool(named(text))


def _items(evidence: Evidence, about: str, names: tuple[str, ...] = ()) -> list[str]:
    """Return the items about something, with whose they are, or those whose name begins so.

    Of a part of a library, as `cudnn.benchmark` is, the name of the part is told, too.
    """
    found = [item for item in evidence.items if item.about == about]
    if not names:
        return [f"{item.name} {item.value}" for item in found]
    begin = tuple(name.lower() for name in names)
    mine = [item for item in found if item.name.lower().startswith(begin)]
    return [f"{item.name} {item.value}" if "." in item.name else item.value for item in mine]


def _threads(evidence: Evidence) -> list[str]:
    """Return the threads of all pools but NumPy's, which computes no layer."""
    return [one for one in _items(evidence, "threads") if not one.startswith("OpenBLAS ")]


def _kernels(evidence: Evidence) -> list[str]:
    """Return how many kernels of each type ran."""
    return [f"{times} {name}" for name, times in sorted(evidence.kernels.items())]
