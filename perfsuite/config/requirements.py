"""What `[[require]]` asks for, by the names of libraries and instruction sets that are known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points

import msgspec

from perfsuite.config.conversion import Location
from perfsuite.domain.suite import Require
from perfsuite.plugins import GROUPS, suggestion

# How they may be spelled, and what evidence calls them: as the kernel spells the processor's flags,
# or as people say it. VNNI alone is the least that has it.
_INSTRUCTION_SETS = {
    **dict.fromkeys(("sse4", "sse4_1", "sse4_2"), "SSE4"),
    "avx": "AVX",
    "avx2": "AVX2",
    **dict.fromkeys(("vnni", "avx_vnni", "avx2_vnni"), "AVX2 VNNI"),
    **dict.fromkeys(("avx512", "avx512f", "avx512bw", "avx512vl", "avx512dq"), "AVX-512"),
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 bf16",
    "avx512_fp16": "AVX-512 fp16",
    **dict.fromkeys(("amx", "amx_tile", "amx_int8", "amx_bf16"), "AMX"),
    **dict.fromkeys(("neon", "asimd"), "NEON"),
    "sve": "SVE",
}
# Other names of libraries: of their files, of earlier versions.
_ALIASES = {"dnnl": "onednn", "mkldnn": "onednn", "onemkl": "mkl", "onetbb": "tbb"}


def resolved_requirements(tables: Sequence[Require], location: Location) -> tuple[Require, ...]:
    """Return the requirements with the names that evidence has: `oneDNN`, `AVX-512 VNNI`.

    Raises `ConfigError` at its place within `location` for one that asks for nothing, and, with a
    suggestion, for an unknown name.
    """
    found = []
    for index, table in enumerate(tables):
        here = location.item(index)
        if not (table.library or table.instruction_set):
            raise here.error(
                'nothing is required: give `library`, such as "onednn", or `instruction_set`, such '
                'as "avx512_vnni", or both'
            )
        library = _library(table.library, here.key("library"))
        name = _instruction_set(table.instruction_set, here.key("instruction_set"))
        found.append(msgspec.structs.replace(table, library=library, instruction_set=name))
    return tuple(found)


def instruction_sets_of(flags: Iterable[str]) -> set[str]:
    """Return the instruction sets that a processor with these flags has, as evidence names them."""
    return {_INSTRUCTION_SETS[flag] for flag in flags if flag in _INSTRUCTION_SETS}


def _library(given: str, here: Location) -> str:
    """Return the title of a library; of one that an installed package knows, its name there."""
    from perfsuite.libraries.library import Library
    from perfsuite.libraries.table import LIBRARIES

    known = {name: one.title for name, one in LIBRARIES.items() if isinstance(one, Library)}
    titles = {_plain(one): title for name, title in known.items() for one in (name, title)}
    titles |= {other: known[name] for other, name in _ALIASES.items()}
    own = [point.name for point in entry_points(group=GROUPS["library"])]
    if not given or given in own:
        return given
    if _plain(given) in titles:
        return titles[_plain(given)]
    raise here.error(f"unknown library '{given}'{suggestion(given.lower(), {*known, *own})}")


def _instruction_set(given: str, here: Location) -> str:
    names = {_plain(spelled): name for spelled, name in _INSTRUCTION_SETS.items()}
    names |= {_plain(name): name for name in _INSTRUCTION_SETS.values()}
    if not given:
        return ""
    if _plain(given) in names:
        return names[_plain(given)]
    known = _INSTRUCTION_SETS
    raise here.error(f"unknown instruction set '{given}'{suggestion(given.lower(), known)}")


def _plain(spelled: str) -> str:
    return re.sub(r"[^a-z0-9]", "", spelled.lower())
