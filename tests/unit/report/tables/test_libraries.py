"""The table of libraries: who used them, and what nobody tells."""

from __future__ import annotations

from typing import Any

import msgspec

from perfsuite.domain.diagnosis import (
    DiagnosedFinding,
    Diagnosis,
    ExaminedCell,
    Library,
    LibraryUse,
    Machine,
    Numpy,
)
from perfsuite.libraries.faults.machine import NOT_SEEN
from perfsuite.report.doctor import outcome
from perfsuite.report.tables.libraries import absent, columns, lines, machine_text, numpy_text

MACHINE = Machine("EPYC", ("AVX-512", "VNNI"), 1)


def cell(key: str, status: str = "ok") -> ExaminedCell:
    return ExaminedCell(key, "fp32", key, "fp32", 1, 1, status)


def found(*libraries: Library, **fields: Any) -> Diagnosis:
    made = Diagnosis(
        1, "0", "", "out", "", MACHINE, Numpy(), libraries, (cell("a"), cell("b")), (), (), 0
    )
    return msgspec.structs.replace(made, **fields)


def test_cells_that_used_a_library_alike_stand_together() -> None:
    uses = (
        LibraryUse("a", "observed", "2 of 3 layers"),
        LibraryUse("b", "observed", "2 of 3 layers"),
        LibraryUse("NumPy", "reported", "its matrix products"),
    )
    one = Library("X", "used", ("2026.4.1-22-abc", "3.1-x inside Y"), (), uses, "AVX2", "observed")
    assert lines(found(one)) == [
        (
            "✓",
            "X",
            "2026.4.1, 3.1 inside Y",
            "a fp32, b fp32: 2 of 3 layers (observed)\nNumPy: its matrix products (reported)",
            "AVX2 (observed)",
        )
    ]


def test_what_is_only_loaded_or_absent_is_not_called_used() -> None:
    whole = found(Library("X", "loaded"), Library("Y", "absent"), Library("Z", "absent"))
    ((symbol, name, version, used, best),) = lines(whole)
    assert (symbol, name, version, best) == (" ", "X", "not told", "not told")
    assert used == "loaded; nothing shows that it is used"
    assert absent(whole) == "not loaded by any of these processes: Y, Z"
    assert absent(found()) == ""


def test_what_nobody_could_see_is_not_called_not_loaded() -> None:
    hidden = DiagnosedFinding(NOT_SEEN, "caution", "machine", (), "no maps", "mount", "observed")
    whole = found(Library("Y", "absent"), findings=(hidden,))
    assert absent(whole) == "not seen, as loaded files cannot be looked at: Y"


def test_the_processor_stands_beside_what_was_dispatched_to_where_it_is_known() -> None:
    assert columns(found())[-1] == "dispatched to\n(of AVX-512, VNNI)"
    unknown = msgspec.structs.replace(MACHINE, instruction_sets=())
    assert columns(found(machine=unknown))[-1] == "dispatched to"


def test_what_a_machine_does_not_tell_is_left_out_or_said() -> None:
    assert machine_text(MACHINE) == "EPYC; AVX-512, VNNI; 1 core; no quota; governor not told"


def test_numpy_has_a_blas_or_a_reason() -> None:
    assert numpy_text(found(numpy=Numpy("MKL 1", "observed"))) == (
        "NumPy multiplies with MKL 1 (observed)"
    )
    assert numpy_text(found(numpy=Numpy(problem="it died"))) == "NumPy: it died"


def test_the_outcome_counts_each_status() -> None:
    cells = (cell("a"), cell("b", "unsupported"), cell("c", "failed"), cell("d", "failed"))
    assert outcome(found(cells=cells, exit_code=1)) == (
        "1 of 4 cells looked at, 1 unsupported, 2 failed, no faults, no cautions; exit code 1"
    )
