"""A diagnosis is computed from what was seen: libraries, findings, the exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from judged_runs import record, run

from perfsuite.domain.cell import Cell
from perfsuite.domain.diagnosis import Diagnosis, Library, LibraryUse
from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.domain.finding import Finding, LayerKernel
from perfsuite.domain.record import Evidence, EvidenceItem, Failure, Record
from perfsuite.judge.diagnosis import diagnosis, machine

MISSING = Finding("missing-library", "openvino", "libtbb.so is missing", "install it", "observed")
FAULT = Finding("ref", "oneDNN", "slow", "update", "observed")
CAUTION = Finding("governor", "machine", "saves power", "set it", "reported", "caution")
BLAS = EvidenceItem("reported", "blas", "NumPy", "OpenBLAS 0.3.29, SkylakeX kernels, 2 threads")
PLAIN = Evidence(
    (
        EvidenceItem("observed", "library", "OpenBLAS", "libopenblas.so"),
        EvidenceItem("reported", "version", "OpenBLAS", "0.3.29"),
        BLAS,
    )
)
VNNI = LayerKernel("a", "Conv", "brgconv", "oneDNN", "AVX-512 VNNI", "int8")
PLAIN_AVX = LayerKernel("b", "Gemm", "gemm", "oneDNN", "AVX2", "fp32", "reported")
OTHER = LayerKernel("c", "Resize", "", "", "", "fp32", "inferred")


def cell(runtime: str, evidence: Evidence | None = Evidence(), **fields: Any) -> Record:  # noqa: B008
    found = record(Cell("net", "fp32", runtime))
    return msgspec.structs.replace(found, evidence=evidence, **fields)


def failed(runtime: str, kind: str, status: str = "failed") -> Record:
    error = Failure(kind, "gone")
    return cell(runtime, None, status=status, error=error)


def diagnosed(
    *records: Record, plain: Evidence | str = PLAIN, titles: tuple[str, ...] = (), **more: Any
) -> Diagnosis:
    return diagnosis(Path("out"), run(*records), plain, titles, **more)


def test_a_library_is_used_where_layers_show_it() -> None:
    evidence = Evidence(
        (EvidenceItem("observed", "library", "oneDNN", "libdnnl.so"),), {}, (VNNI, PLAIN_AVX, OTHER)
    )
    found = diagnosed(cell("openvino", evidence), titles=("cuDNN", "oneDNN", "OpenBLAS"))
    assert found.libraries == (
        Library(
            "oneDNN",
            "used",
            (),
            ("libdnnl.so",),
            (
                LibraryUse(
                    "net/fp32/openvino/cpu/b1",
                    "observed",
                    "2 of 3 layers",
                    2,
                    3,
                    ("AVX-512 VNNI", "AVX2"),
                ),
            ),
            "AVX-512 VNNI",
            "observed",
        ),
        Library(
            "OpenBLAS",
            "used",
            ("0.3.29",),
            ("libopenblas.so",),
            (LibraryUse("NumPy", "reported", "its matrix products"),),
        ),
        Library("cuDNN", "absent"),
    )
    assert found.numpy.blas.startswith("OpenBLAS 0.3.29")
    assert [one.kernel for one in found.cells[0].layers] == ["brgconv", "gemm", ""]


def test_a_mapped_file_alone_proves_no_use_but_its_library_may_tell_its_level() -> None:
    items = (
        EvidenceItem("observed", "library", "cuDNN", "libcudnn.so.9"),
        EvidenceItem("reported", "instruction set", "MKL", "AVX2"),
        EvidenceItem("observed", "library", "MKL", "libmkl_core.so"),
    )
    found = diagnosed(cell("pytorch", Evidence(items)), plain=Evidence())
    assert [(one.name, one.status, one.instruction_set) for one in found.libraries] == [
        ("cuDNN", "loaded", ""),
        ("MKL", "loaded", "AVX2"),
    ]
    assert found.numpy.how is None
    assert "no library of a known name" in found.numpy.problem


def test_findings_stand_once_and_those_of_the_machine_name_no_cell_of_their_own() -> None:
    plain = msgspec.structs.replace(PLAIN, findings=(CAUTION,))
    one = Evidence(findings=(FAULT,))
    found = diagnosed(cell("pytorch", one), cell("openvino", one), plain=plain)
    assert [(one.name, one.severity, one.cells) for one in found.findings] == [
        ("ref", "fault", ("net/fp32/pytorch/cpu/b1", "net/fp32/openvino/cpu/b1")),
        ("governor", "caution", ()),
    ]


def test_what_an_engine_lacks_that_could_not_be_loaded_is_told() -> None:
    error = Failure("Unavailable", "libgomp.so.1 is missing")
    broken = cell("openvino", Evidence(findings=(FAULT,)), status="unavailable", error=error)
    found = diagnosed(broken, SOUND)
    assert [(one.name, one.cells) for one in found.findings] == [
        ("ref", ("net/fp32/openvino/cpu/b1",))
    ]
    assert found.exit_code == 1


def lacking(runtime: str) -> Record:
    found = failed(runtime, "Unavailable", "unavailable")
    return msgspec.structs.replace(found, evidence=Evidence(findings=(MISSING,)))


SOUND, SICK = cell("pytorch"), cell("pytorch", Evidence(findings=(FAULT,)))
WARNED = cell("pytorch", Evidence(findings=(CAUTION,)))


@pytest.mark.parametrize(
    ("records", "asked", "code"),
    [
        ([SOUND], False, 0),
        ([WARNED], False, 0),
        ([SICK], False, 1),
        ([SOUND, failed("openvino", "Crash")], False, 1),
        ([SOUND, failed("openvino", "Unavailable", "unavailable")], False, 0),
        ([SOUND, failed("openvino", "Unavailable", "unavailable")], True, 2),
        ([failed("openvino", "Unavailable", "unavailable")], False, 3),
        ([failed("openvino", "Crash")], False, 3),
        ([SOUND, lacking("openvino")], True, 1),
        ([lacking("openvino")], False, 1),
        ([failed("openvino", "SilentFallback")], False, 1),
        ([SICK, failed("openvino", "ConfigError")], False, 2),
    ],
)
def test_exit_codes(records: list[Record], asked: bool, code: int) -> None:
    assert diagnosed(*records, asked=asked).exit_code == code


def test_why_a_cell_could_not_be_looked_at_is_told_and_the_others_stand() -> None:
    found = diagnosed(failed("openvino", "Crash"), SOUND, plain="its process died by SIGILL")
    assert [(one.status, one.problem) for one in found.cells] == [
        ("failed", "Crash: gone"),
        ("ok", ""),
    ]
    (missing,) = diagnosed(failed("openvino", "Unavailable", "unavailable")).cells
    assert missing.problem == "gone", "the status says the rest"
    assert found.numpy.problem == "its process died by SIGILL"


def test_the_machine_in_numbers_where_the_system_tells() -> None:
    here = MustMatch("EPYC", 25, 1, 1, ("avx512f", "avx512_vnni"), {}, 2, 1.5)
    told = {"memory_bytes": "1024", "governor": "powersave", "boost": "0", "load_average": "0.5"}
    found = machine(Environment(here, {}, told))
    assert found.instruction_sets == ("AVX-512", "VNNI")
    assert (found.usable_cores, found.quota_cores, found.memory_bytes) == (2, 1.5, 1024)
    assert (found.governor, found.boost, found.load_average) == ("powersave", "off", 0.5)
    none = machine(Environment(MustMatch("", -1, -1, -1, (), {}, 1, None), {}, {}))
    assert (none.memory_bytes, none.governor, none.boost, none.load_average) == (None, "", "", None)
