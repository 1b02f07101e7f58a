"""Which instruction sets ran is told as far as it is known, and by whom."""

from __future__ import annotations

import csv
import io
import json

import msgspec
import pytest
from judged_runs import record, run
from rich.console import Console

from perfsuite.domain.cell import Cell
from perfsuite.domain.device import DeviceIdentity
from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.record import Evidence, EvidenceItem, Run
from perfsuite.judge import judge
from perfsuite.report import print_run, render, rows
from perfsuite.report.tables.cell_rows import title
from perfsuite.report.tables.instruction_sets import InstructionSets, instruction_sets
from perfsuite.report.tables.texts import instruction_sets_sentence

EAGER, INT8 = Cell("vgg", "fp32", "pytorch"), Cell("vgg", "int8", "openvino")
FP32, PLAIN = Cell("vgg", "fp32", "openvino"), Cell("vgg", "fp32", "onnxruntime")
ZEN = DeviceIdentity("cpu", "AMD EPYC", ("avx2", "avx512_bf16", "avx512_vnni", "avx512f"))
CARD = DeviceIdentity("cuda", "H100", ("sm_90", "bf16"))


def kernels(*names: str) -> Evidence:
    return Evidence(tuple(EvidenceItem("observed", "kernel", name, "1 layers") for name in names))


def says(level: str, whose: str = "PyTorch") -> Evidence:
    return Evidence((EvidenceItem("reported", "instruction set", whose, level),))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("brgconv_avx512_I8", "AVX-512"),
        ("jit_avx512_f32", "AVX-512"),
        ("brgconv:avx512_core_vnni", "AVX-512 VNNI"),
        ("brgconv_avx512_amx_I8", "AMX"),
        ("jit_avx2_1x1_f32", "AVX2"),
        ("brgemm:avx2_vnni_2", "AVX2 VNNI"),
        ("jit_avx_f32", "AVX"),
        ("jit_sse42_f32", "SSE4"),
        ("brgconv_sve_f32", "SVE"),
        ("acl_neon_f16", "NEON"),
        ("gemm_mlas_f32", None),
        ("ref_any_f32", None),
    ],
)
def test_the_names_of_kernels_tell(name: str, meant: str | None) -> None:
    assert instruction_sets(kernels(name)) == ((meant,) if meant else (), "")


def test_what_was_observed_goes_before_what_is_reported() -> None:
    seen = kernels("jit_avx2_f32", "brgconv_avx512_I8", "ref", "jit_avx512_f32")
    both = Evidence((*says("AVX512").items, *seen.items))
    assert instruction_sets(both) == InstructionSets(("AVX-512", "AVX2"))
    unnamed = Evidence((*kernels("ref").items, *says("NO").items, *says("AVX2", "Mine").items))
    assert instruction_sets(unnamed) == InstructionSets(("AVX2",), "Mine")
    numpys = Evidence((*says("AVX2", "OpenBLAS").items, *says("AVX512").items))
    assert instruction_sets(numpys) == InstructionSets(("AVX-512",), "PyTorch")
    concluded = Evidence((EvidenceItem("inferred", "kernel", "avx512", "1"),))
    for nothing in (concluded, Evidence(), None):
        assert instruction_sets(nothing) == InstructionSets()


def test_kernels_of_layers_tell_it_too_but_not_what_is_concluded() -> None:
    layers = (
        LayerKernel("a", "convolution", "jit:avx2", "oneDNN", "AVX2"),
        LayerKernel("b", "Conv", "CPUExecutionProvider", "MLAS", "AVX-512", how="inferred"),
    )
    told = Evidence(says("AVX512").items, layers=layers)
    assert instruction_sets(told) == InstructionSets(("AVX2",))
    guessed = EvidenceItem("inferred", "instruction set", "MLAS", "AVX-512")
    assert instruction_sets(Evidence((guessed,), layers=layers[1:])) == InstructionSets()


def found(int8: str = "brgconv_avx512_I8") -> Run:
    def on(cell: Cell, evidence: Evidence | None) -> object:
        known = record(cell, 0.1, 0.1)
        return msgspec.structs.replace(known, evidence=evidence, device=ZEN)

    return run(
        on(EAGER, says("AVX512")),  # type: ignore[arg-type]
        on(PLAIN, None),  # type: ignore[arg-type]
        on(FP32, kernels("brgconv_avx512_f32")),  # type: ignore[arg-type]
        on(INT8, kernels(int8)),  # type: ignore[arg-type]
    )


def test_a_runtime_is_named_where_all_its_cells_are_alike() -> None:
    alike = rows(found(), judge(found()))
    assert instruction_sets_sentence(alike) == (
        "instruction sets: AVX-512 (PyTorch says) in pytorch; AVX-512 in openvino"
    )
    differing = found("brgconv_avx512_amx_I8")
    assert instruction_sets_sentence(rows(differing, judge(differing))) == (
        "instruction sets: AVX-512 (PyTorch says) in pytorch; "
        "AVX-512 in fp32/openvino/cpu/b1; AMX in int8/openvino/cpu/b1"
    )
    silent = found("ref")
    assert instruction_sets_sentence(rows(silent, judge(silent))).endswith(
        "; AVX-512 in fp32/openvino/cpu/b1"
    )
    assert instruction_sets_sentence([]) == ""


def test_the_title_names_those_of_the_processor() -> None:
    assert title(found()).endswith(", AMD EPYC (AVX-512, VNNI, bf16)")
    card = msgspec.structs.replace(record(EAGER, 0.1, 0.1), device=CARD)
    assert title(run(card)).endswith(", H100")


def test_terminal_and_files_have_them() -> None:
    made = found()
    judgement = judge(made)
    stream = io.StringIO()
    print_run(Console(file=stream, width=200), made, judgement)
    assert "  instruction sets: AVX-512 (PyTorch says) in pytorch; AVX-512" in stream.getvalue()
    lines = [line.split(" | ") for line in render(made, judgement, "md").splitlines()]
    column = next(line for line in lines if "instructions" in line).index("instructions")
    told = {line[1]: line[column] for line in lines if line[0] == "| " and len(line) > column}
    assert told["int8/openvino/cpu/b1"] == "AVX-512"
    assert told["fp32/pytorch/cpu/b1"] == "AVX-512 (PyTorch says)"
    assert told["fp32/onnxruntime/cpu/b1"] == ""
    table = list(csv.DictReader(io.StringIO(render(made, judgement, "csv"))))
    assert {one["device_instruction_sets"] for one in table} == {"AVX-512, VNNI, bf16"}
    assert [(one["instruction_sets"], one["instruction_sets_reported_by"]) for one in table] == [
        ("AVX-512", "PyTorch"),
        ("", ""),
        ("AVX-512", ""),
        ("AVX-512", ""),
    ]
    first = json.loads(render(made, judgement, "json"))["rows"][0]
    assert first["device_instruction_sets"] == ["AVX-512", "VNNI", "bf16"]
    assert (first["instruction_sets"], first["instruction_sets_reported_by"]) == (
        ["AVX-512"],
        "PyTorch",
    )
