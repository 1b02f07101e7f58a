"""What `[[require]]` may ask for, by which names, and of which cells."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint
from pathlib import Path

import msgspec
import pytest

from perfsuite.config import cells, check_budgets, read_suite, requires
from perfsuite.config import requirements as module
from perfsuite.config.certify_suite import certify_suite
from perfsuite.config.loading import load_suite
from perfsuite.config.requirements import instruction_sets_of
from perfsuite.domain.cell import Cell
from perfsuite.domain.suite import Require, ResolvedSuite
from perfsuite.errors import ConfigError
from perfsuite.libraries.library import Library
from perfsuite.libraries.table import LIBRARIES
from perfsuite.processor import FEATURES

HEAD = 'workloads = ["vgg-digits"]\nruntimes = ["onnxruntime", "openvino"]\nthreads = 1\n'


def suite_of(folder: Path, *tables: str) -> Path:
    path = folder / "suite.toml"
    path.write_text(HEAD + "".join(f"[[require]]\n{table}\n" for table in tables))
    return path


def required(folder: Path, table: str) -> Require:
    (found,) = read_suite(suite_of(folder, table)).require
    return found


@pytest.mark.parametrize("spelled", ["onednn", "oneDNN", "ONEDNN", "mkl-dnn", "dnnl"])
def test_a_library_may_be_spelled_in_any_way(tmp_path: Path, spelled: str) -> None:
    assert required(tmp_path, f'library = "{spelled}"') == Require("oneDNN")


def test_every_library_of_the_table_is_known_by_its_name_and_its_title(tmp_path: Path) -> None:
    known = {name: one.title for name, one in LIBRARIES.items() if isinstance(one, Library)}
    assert {"onednn", "mkl", "mlas", "openblas"} <= known.keys()
    for name, title in known.items():
        for spelled in (name, title):
            assert required(tmp_path, f'library = "{spelled}"').library == title


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("avx512_vnni", "AVX-512 VNNI"),
        ("AVX-512 VNNI", "AVX-512 VNNI"),
        ("avx_vnni", "AVX2 VNNI"),
        ("vnni", "AVX2 VNNI"),
        ("avx512f", "AVX-512"),
        ("AVX512", "AVX-512"),
        ("avx512_bf16", "AVX-512 bf16"),
        ("amx_int8", "AMX"),
        ("sse4_2", "SSE4"),
        ("asimd", "NEON"),
    ],
)
def test_an_instruction_set_may_be_a_flag_or_what_people_say(
    tmp_path: Path, spelled: str, name: str
) -> None:
    found = required(tmp_path, f'instruction_set = "{spelled}"')
    assert found == Require(instruction_set=name)
    assert found.what == name


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('library = "onedn"', "require[0].library: unknown library 'onedn'; did you mean 'onednn'"),
        ('library = "gemmlowp"', "unknown library 'gemmlowp'; known: blis, cublas, cudnn, mkl, "),
        (
            'instruction_set = "avx512_vni"',
            "require[0].instruction_set: unknown instruction set 'avx512_vni'; did you mean "
            "'avx512_vnni'?",
        ),
        ('instruction_set = "avx1024"', "unknown instruction set 'avx1024'"),
        ('runtime = "openvino"', "require[0]: nothing is required: give `library`, such as"),
        ('library = ""', "require[0].library: "),
        ('lib = "onednn"', "require[0].lib: unknown key; did you mean 'library'?"),
    ],
)
def test_what_is_not_known_is_an_error_at_its_place(tmp_path: Path, table: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_suite(suite_of(tmp_path, table))
    assert told in str(error.value)
    assert str(error.value).startswith("suite.toml: require[0]")


def test_a_library_of_an_installed_package_is_known_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entry_points(*, group: str) -> Iterable[EntryPoint]:
        return [EntryPoint("ggml", "my_package.ggml:find", group)]

    monkeypatch.setattr(module, "entry_points", entry_points)
    assert required(tmp_path, 'library = "ggml"') == Require("ggml")


def test_both_are_required_together_with_a_reason(tmp_path: Path) -> None:
    table = 'library = "mlas"\ninstruction_set = "avx2"\nruntime = "onnx*"\nreason = "shipped"'
    found = required(tmp_path, table)
    assert found == Require("MLAS", "AVX2", runtime="onnx*", reason="shipped")
    assert found.what == "MLAS with AVX2"


def test_it_selects_cells_as_an_expectation_does(tmp_path: Path) -> None:
    suite = read_suite(suite_of(tmp_path, 'library = "onednn"\nruntime = "openvino"'))
    (found,) = suite.require
    assert [requires(found, cell) for cell in cells(suite)] == [False, True]
    assert not requires(found, Cell("vgg-digits", "fp32", "openvino", switch="onednn-off"))
    check_budgets(suite, cells(suite))
    nowhere = suite_of(tmp_path, 'library = "mkl"', 'library = "onednn"\ndevice = "cuda"')
    with pytest.raises(ConfigError, match=r"require\[1\]: matches no cell of this suite: vgg-dig"):
        load_suite(nowhere)


def test_what_is_required_of_cells_that_were_not_chosen_is_left_out_and_told(
    tmp_path: Path,
) -> None:
    path = suite_of(
        tmp_path, 'library = "mlas"\nruntime = "onnxruntime"', 'instruction_set = "avx2"'
    )
    suite, chosen, warnings = load_suite(path, ["*/openvino/*"])
    assert [cell.runtime for cell in chosen] == ["openvino"]
    assert suite.require == (Require(instruction_set="AVX2"),)
    assert warnings == ("requirement 'MLAS' was left out: --only chose none of its cells",)


def test_nothing_is_required_of_what_certifies_a_machine(tmp_path: Path) -> None:
    """Nothing of it is inspected."""
    assert certify_suite(suite_of(tmp_path, 'library = "mkl"'), quick=True).suite.require == ()


def test_suites_of_before_require_nothing(tmp_path: Path) -> None:
    suite = read_suite(suite_of(tmp_path, 'library = "onednn"'))
    stored = msgspec.to_builtins(suite)
    assert msgspec.convert(stored, ResolvedSuite) == suite
    del stored["require"]
    assert msgspec.convert(stored, ResolvedSuite).require == ()


def test_the_flags_of_a_processor_are_known() -> None:
    assert instruction_sets_of(("avx2", "avx512_vnni", "fpu")) == {"AVX2", "AVX-512 VNNI"}
    unknown = {one for one in FEATURES if not instruction_sets_of((one,))}
    assert unknown == {
        *("fma", "f16c", "avx512_vpopcntdq", "avx512_bitalg", "amx_fp16"),
        *("asimdhp", "asimddp", "sve2", "i8mm", "bf16", "sme"),
    }
