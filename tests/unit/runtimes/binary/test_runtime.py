"""The engine as people meet it: what it refuses, says of itself, and leaves behind."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from binary_graphs import residual, vgg
from binary_sessions import built, opened, pictures

from perfsuite.domain.runtime import SessionOptions, Variant
from perfsuite.errors import BuildError, Unavailable, Unsupported
from perfsuite.runtimes.binary import evidence as evidence_module
from perfsuite.runtimes.binary.runtime import PerfsuiteBinary
from perfsuite.runtimes.shared import base
from perfsuite.runtimes.shared.precision import check_precision


def test_without_numba_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"numba is not installed.*perfsuite\[binary\]"):
        PerfsuiteBinary().probe()


def test_a_graph_without_binary_convolutions_is_unsupported(tmp_path: Path) -> None:
    model = vgg((4, "M"), side=4)
    del model.functions[:]
    with pytest.raises(Unsupported, match=r"the graph has no binary convolution.*pass binarize"):
        built(model, tmp_path / "artifact")
    assert list((tmp_path / "artifact").iterdir()) == []


def test_inputs_that_a_kernel_does_not_fit_into_are_named(tmp_path: Path) -> None:
    model = vgg((4, 8, "M", 8), side=2)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "rows"
    with opened(model) as session, pytest.raises(Unsupported, match=r"MaxPool\d.* 1 x 2"):
        session.run({"x": np.zeros((1, 3, 1, 2), np.float32)})


def test_evidence_counts_binary_kernels_apart_and_names_the_instructions(tmp_path: Path) -> None:
    model = vgg((4, 8, "M", 8), side=8)
    with opened(model, threads=2) as session:
        found = session.evidence()
    counted = {name: times for name, times in found.kernels.items() if "Pool" not in name}
    assert counted == {"BinaryConv binary": 2, "Conv fp32": 1, "Gemm fp32": 1}
    check_precision(found, built(model, tmp_path / "artifact"))
    items = {(item.about, item.name): item for item in found.items}
    assert items["threads", "team"].value == "2"
    assert items["instruction set", "population count"].value in (
        *evidence_module._CODES,
        "NEON",
        "plain",
    )
    assert [layer.precision for layer in found.layers] == ["fp32", "binary", "binary", "fp32"]


def test_an_instruction_that_the_machine_code_lacks_is_not_observed() -> None:
    assert evidence_module._instructions(b"\x90" * 64).how == "inferred"


def test_vpopcntq_is_found_by_its_opcode() -> None:
    code = bytes.fromhex("62f2fd4855c0")  # vpopcntq zmm0, zmm0
    assert evidence_module._CODES["AVX-512 VPOPCNTDQ"].search(b"\x90" + code)
    assert evidence_module._CODES["AVX2"].search(bytes.fromhex("c4e27d00c1"))  # vpshufb ymm0


@pytest.mark.parametrize("threads", [1, 2])
def test_a_profile_has_all_kernels_within_the_calls(threads: int) -> None:
    model = residual((8, 16), 1, side=8)
    with opened(model, threads=threads) as session:
        profile = session.profile([{"x": pictures(model, 1)}], 3)
        names = {node.name for node in model.graph.node if node.op_type == "BinaryConv"}
    assert len(profile.walls_s) == 3
    assert names <= {kernel.name for kernel in profile.kernels}
    for call, wall in enumerate(profile.walls_s):
        times = [kernel.times_s[call] for kernel in profile.kernels]
        assert all(time >= 0 for time in times) and 0 < sum(times) <= wall
        starts = [kernel.starts_s[call] for kernel in profile.kernels]
        assert starts == sorted(starts) and starts[0] >= 0
    every = {origin for kernel in profile.kernels for origin in kernel.origins}
    left = {node.name for node in model.graph.node} - every
    assert all(name.startswith(("Flatten", "Identity")) for name in left), "no node is lost"


def test_threads_sleep_between_calls_and_end_with_the_session() -> None:
    model = vgg((4, 8), side=8)
    before = set(Path("/proc/self/task").iterdir())
    with opened(model, threads=3) as session:
        session.run({"x": pictures(model, 1)})
        ours = set(Path("/proc/self/task").iterdir()) - before
        waited_until = time.monotonic() + 30
        while any(_state(task) != "S" for task in ours) and time.monotonic() < waited_until:
            time.sleep(0.01)
        assert len(ours) >= 2 and all(_state(task) == "S" for task in ours)
        session.close()
        while ours & set(Path("/proc/self/task").iterdir()) and time.monotonic() < waited_until:
            time.sleep(0.01)
        assert not ours & set(Path("/proc/self/task").iterdir())


def _state(task: Path) -> str:
    """Return a thread's state, as proc(5) has it: R runs, S sleeps."""
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


def test_packed_weights_are_stored_as_bits(tmp_path: Path) -> None:
    model = vgg((4, 256, 256), side=4)
    built(model, tmp_path / "artifact")
    stored = sum(path.stat().st_size for path in (tmp_path / "artifact").iterdir())
    whole = 4 * (4 * 256 * 9 + 256 * 256 * 9)
    assert stored < whole / 20
    manifest = built(model, tmp_path / "artifact")
    with PerfsuiteBinary().open(tmp_path / "artifact", manifest, SessionOptions(1, 1)) as session:
        assert session.run({"x": pictures(model, 1)})[0].shape == (1, 10)


def test_a_graph_that_is_not_there_is_a_build_error(tmp_path: Path) -> None:
    from perfsuite.errors import BuildError

    manifest = built(vgg((4, 8), side=8), tmp_path / "artifact")
    with pytest.raises(BuildError, match="takes an ONNX graph"):
        PerfsuiteBinary().build(Variant(None, None, False), manifest, tmp_path)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "is missing"),
        ({"x": np.zeros((1, 3, 8, 8))}, r"is float64 \(1, 3, 8, 8\)"),
        ({"x": np.zeros((1, 3, 4, 16), np.float32)}, r"is float32 \(1, 3, 4, 16\)"),
        ({"x": np.zeros((3, 8, 8), np.float32)}, r"is float32 \(3, 8, 8\)"),
    ],
)
def test_an_input_that_is_not_as_declared_is_named(given: dict[str, np.ndarray], told: str) -> None:
    model = vgg((4, 8), side=8)
    with opened(model) as session:
        session.run({"x": pictures(model, 1)})
        with pytest.raises(BuildError, match=rf"'x' {told}; it takes float32 \(batch, 3, 8, 8\)"):
            session.run(given)


def test_a_session_that_was_closed_says_so() -> None:
    model = vgg((4, 8), side=8)
    with opened(model, threads=2) as session:
        session.close()
        with pytest.raises(BuildError, match="was closed; open the artifact again"):
            session.run({"x": pictures(model, 1)})


def test_where_numba_may_write_nowhere_it_compiles_for_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from perfsuite.runtimes.binary import team

    asked: list[bool] = []

    def functions(sources: int, *, keeps: bool = True) -> tuple[SimpleNamespace, ...]:
        asked.append(keeps)
        if keeps:
            raise RuntimeError("cannot cache function: no locator available")
        return tuple(SimpleNamespace(compile=print, address=1, cache_hits=0) for _ in "abc")

    monkeypatch.setattr(team, "_functions", functions)
    assert team.compiled.__wrapped__().made.startswith("compiled in ")
    assert asked == [True, False]
