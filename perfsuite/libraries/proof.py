"""Whether a library or an instruction set is shown to have run, a pure function of the evidence."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import msgspec

from perfsuite.domain.instruction_sets import named, reaches, strongest_first
from perfsuite.domain.record import Evidence
from perfsuite.domain.suite import Require
from perfsuite.libraries.used import How, Use, used

# OpenVINO's names, such as `brgconv_avx512_I8`: the end is the type of values.
UNTOLD = re.compile(r"_avx(2|512)_i8$", re.IGNORECASE)
_DID = {"engine": "was the engine", "kernels": "ran", "threads": "has the threads"}
_Found = tuple[str, How]  # an instruction set, and how it is known


class Proof(msgspec.Struct, frozen=True):
    """Whether the evidence shows what is required, and what it shows, in words."""

    holds: bool
    text: str


def proof(require: Require, evidence: Evidence) -> Proof:
    """Return whether what is required is shown to have run, and what ran.

    A library counts if layers were computed by it, also one that an engine has inside of it, whose
    layers may be known by the engine that runs them; being loaded is not enough. An instruction set
    must have been observed or reported: what a processor could do is no sign of what was done.
    """
    uses = _uses(evidence)
    title = next((one for one in uses if one.casefold() == require.library.casefold()), "")
    if require.library and not title:
        return Proof(False, f"nothing shows that {require.library} was used: {_all(uses)}")
    ran = f"{title} {_words(uses[title])}" if title else "kernels ran"
    wanted = require.instruction_set
    if not wanted:
        return Proof(True, f"{ran} ({uses[title].how})")
    sets = list(_instruction_sets(evidence, title, uses))
    sure = [one for one in sets if one[1] != "inferred"]
    text = f"{ran} with {_best(sure or sets)}"
    if wanted.endswith("VNNI") and any(
        UNTOLD.search(one.kernel) and not one.instruction_set.endswith("VNNI")
        for one in evidence.layers
    ):
        text += "; the names of these kernels of 8 bits do not tell whether that is with VNNI"
    return Proof(any(reaches(name, wanted) for name, _ in sure), text)


def _words(use: Use) -> str:
    """Return what a library did: `computed 13 of 14 layers`."""
    return f"computed {use.text}" if use.role == "layers" else _DID[use.role]


def _uses(evidence: Evidence) -> dict[str, Use]:
    """Return what was used, also what a library of an installed package says of itself."""
    said = {one.name: Use(one.how, "kernels") for one in evidence.items if one.about == "used"}
    return {**said, **used(evidence)}


def _instruction_sets(evidence: Evidence, title: str, uses: Collection[str]) -> Iterator[_Found]:
    """Yield the instruction sets of a library, or of all that were used.

    They are those of what computed, else what the libraries say of themselves.
    """
    layers = [one for one in evidence.layers if title in ("", one.library)]
    found = [(one.instruction_set, one.how) for one in layers if one.instruction_set]
    if not title:
        kernels = (one for one in evidence.items if one.about == "kernel")
        found += [(name, one.how) for one in kernels if (name := named(one.name))]
    if not any(how != "inferred" for _, how in found):
        found += [
            (named(one.value) or one.value, one.how)
            for one in evidence.items
            if one.about == "instruction set" and one.name in ([title] if title else uses)
        ]
    yield from found


def _best(sets: list[_Found]) -> str:
    """Return the best of these, as `AVX2 at best (observed)`."""
    known = dict(reversed(sets))
    for name in (*strongest_first(known), *known):
        doubt = ", which proves nothing" if known[name] == "inferred" else ""
        return f"{name} at best ({known[name]}{doubt})"
    return "an instruction set that is not known"


def _all(uses: dict[str, Use]) -> str:
    """Return what was used instead, as `MKL computed 5 of 5 layers (observed)`."""
    computed = {title: use for title, use in uses.items() if use.role == "layers"}
    texts = [f"{title} {_words(use)} ({use.how})" for title, use in (computed or uses).items()]
    return ", ".join(texts) or "the evidence names no library that computed anything"
