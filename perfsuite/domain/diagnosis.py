"""What `perfsuite doctor` found: the document of its `--json`, schema 1.

Fields may be added within a schema; what is there keeps its name and its meaning.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from perfsuite.domain.elsewhere import Elsewhere, PortableCost
from perfsuite.domain.record import EvidenceItem
from perfsuite.domain.shapes import InputShapes
from perfsuite.domain.verdict import Interval

SCHEMA = 1

How = Literal["observed", "reported", "inferred"]


class Machine(msgspec.Struct, frozen=True):
    """The processor and what may hold it up; None and "" where the system does not tell.

    `instruction_sets` are the best of each kind, as people say them: `["AVX-512", "VNNI", "bf16"]`.
    `usable_cores` are those that this process may run on, `quota_cores` is the processor time that
    its container may use. `load_average` is that of the minute before.
    """

    processor: str
    instruction_sets: tuple[str, ...]
    usable_cores: int
    quota_cores: float | None = None
    memory_bytes: int | None = None
    governor: str = ""
    boost: Literal["on", "off", ""] = ""
    load_average: float | None = None
    system: str = ""
    kernel: str = ""
    card: str = ""


class Numpy(msgspec.Struct, frozen=True):
    """The BLAS that NumPy uses in a process of its own; or why nobody could look.

    `blas` is such as `OpenBLAS 0.3.29, SkylakeX kernels, 2 threads`.
    """

    blas: str = ""
    how: How | None = None
    problem: str = ""


class LibraryUse(msgspec.Struct, frozen=True):
    """How one cell used a library: `layers` of the `of` that its engine tells of.

    `text` is the same for people, such as `13 of 14 layers`, or `by the engine` for a library that
    computes no layers of its own. Instruction sets are those of its layers, the strongest first.
    """

    cell: str  # the cell's key
    how: How
    text: str
    layers: int = 0
    of: int = 0
    instruction_sets: tuple[str, ...] = ()


class Library(msgspec.Struct, frozen=True):
    """A library over all cells.

    It is `used` where something proves it, `loaded` where its file is mapped and nothing does, and
    `absent` where no process had it. `instruction_set` is the best that it dispatched to, known as
    `instruction_set_known` says; "" where nobody tells.
    """

    name: str
    status: Literal["used", "loaded", "absent"]
    versions: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    used_by: tuple[LibraryUse, ...] = ()
    instruction_set: str = ""
    instruction_set_known: How | None = None


class Layer(msgspec.Struct, frozen=True):
    """The kernel that computes one layer; what its engine does not tell is empty."""

    layer: str
    operator: str
    kernel: str
    library: str
    instruction_set: str
    precision: str
    how: How


class ExaminedCell(msgspec.Struct, frozen=True):
    """One cell: a workload and a recipe on an engine.

    `problem` is why it could not be looked at, if so. `layers` are those that compute, in the order
    in which they run; there are none where the engine tells of none.
    """

    key: str
    recipe: str
    runtime: str
    precision: str
    batch: int
    threads: int
    status: str
    problem: str = ""
    labels: tuple[str, ...] = ()
    input_shapes: InputShapes = {}
    layers: tuple[Layer, ...] = ()
    evidence: tuple[EvidenceItem, ...] = ()


class DiagnosedFinding(msgspec.Struct, frozen=True):
    """One thing that is wrong, in these cells; in none if it is the machine's or NumPy's.

    `name` is stable; `about` is a library, an engine, or the machine.
    """

    name: str
    severity: Literal["fault", "caution"]
    about: str
    cells: tuple[str, ...]
    message: str
    fix: str
    how: How


class LibraryWorth(msgspec.Struct, frozen=True):
    """What a cell's calls cost with one library turned off or capped, measured beside the whole.

    `times_as_long` is a call without, divided by one with nothing turned off, as a 95 % interval:
    above 1 the library is worth something. `seen` tells whether something else ran than in the
    whole, and `ran_before` and `ran_after` what; null where the evidence does not tell. `reason` is
    why there is no ratio.
    """

    cell: str  # the key of the cell with the switch; that of the whole is `whole`
    whole: str
    runtime: str
    switch: str
    library: str
    turned_off: str  # such as "off" or "capped at AVX2"
    status: str
    reason: str = ""
    whole_s: float | None = None
    without_s: float | None = None
    times_as_long: Interval | None = None
    seen: bool | None = None
    ran_before: str = ""
    ran_after: str = ""


class Ablation(msgspec.Struct, frozen=True):
    """What each library is worth, by `--ablate`; or the `problem`, if nothing could be measured.

    `numpy` is what NumPy's own matrix product takes without its BLAS and with it capped, which no
    engine computes with; or there is a `numpy_problem`.
    """

    folder: str = ""  # of its run
    libraries: tuple[LibraryWorth, ...] = ()
    words: tuple[str, ...] = ()
    problem: str = ""
    numpy: tuple[LibraryWorth, ...] = ()
    numpy_problem: str = ""


class AcrossProcessors(msgspec.Struct, frozen=True):
    """What INT8 answers on other processors, by `--across`; or the `problem`, if none was tried."""

    folder: str = ""  # of its run
    processors: tuple[Elsewhere, ...] = ()
    portable_costs: tuple[PortableCost, ...] = ()
    words: tuple[str, ...] = ()
    problem: str = ""


class Diagnosis(msgspec.Struct, frozen=True):
    """All that `perfsuite doctor` found, the faults first.

    The exit code is 0 where nothing is wrong (cautions allowed), 1 where a fault was found or a
    cell failed, 2 for what its user must mend first, 3 where nothing could be looked at.
    """

    schema: int
    perfsuite: str  # the version that wrote it
    created_at: str
    folder: str  # where the run is kept
    workload: str  # "" where the libraries were looked at with perfsuite's own net
    machine: Machine
    numpy: Numpy
    libraries: tuple[Library, ...]
    cells: tuple[ExaminedCell, ...]
    findings: tuple[DiagnosedFinding, ...]
    warnings: tuple[str, ...]
    exit_code: int
    ablation: Ablation | None = None  # where nobody asked for it there is none
    across: AcrossProcessors | None = None
