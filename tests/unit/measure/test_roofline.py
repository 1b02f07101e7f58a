"""The roofline's cache, errors and arithmetic; what a machine reaches is not tested."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from perfsuite.domain.device import DeviceIdentity
from perfsuite.domain.profile import OVERHEAD, Breakdown, BreakdownRow, Roofline
from perfsuite.errors import ConfigError, PerfsuiteError
from perfsuite.measure import roofline as module
from perfsuite.measure.roofline import Product, Reached, measured, reached, roofline, roofline_of


class Counting:
    """Stands in for the process that measures."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str]] = []

    def __call__(self, threads: int, precision: str) -> Roofline:
        self.calls.append((threads, precision))
        return Roofline(1e9 * len(self.calls), 1e8, threads, precision)


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counting:
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path))
    counting = Counting()
    monkeypatch.setattr(module, "_in_process", counting)
    return counting


def stored(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "roofline").glob("*.json"))


def test_it_is_measured_once(process: Counting, tmp_path: Path) -> None:
    first = roofline(2, "fp32")
    assert roofline(2, "fp32") == first
    assert process.calls == [(2, "fp32")]
    assert len(stored(tmp_path)) == 1
    assert not list((tmp_path / "roofline").glob("*.partial"))


def test_what_exceeds_a_roof_has_it_measured_again_and_the_best_is_kept(
    process: Counting,
) -> None:
    assert roofline(1, "fp32").flops_per_s == 1e9
    assert roofline(1, "fp32", Reached(1e9, 1e8)).flops_per_s == 1e9  # as much is not more
    assert roofline(1, "fp32", Reached(1.01e9)).flops_per_s == 2e9
    assert roofline(1, "fp32", Reached(1.9e9)).flops_per_s == 2e9  # what was once too much is not
    assert len(process.calls) == 2
    process.calls.clear()  # the next one is as bad as the first was
    assert roofline(1, "fp32", Reached(0.0, 1.01e8)) == Roofline(2e9, 1e8, 1, "fp32")
    assert len(process.calls) == 1


def test_a_fast_algorithm_does_not_have_it_measured_for_ever(process: Counting) -> None:
    roofline(1, "fp32")
    for _ in range(5):
        roofline(1, "fp32", Reached(7e9))  # from the third on 3e9: 2.3 times as much
    assert len(process.calls) == 3
    assert roofline(1, "fp32", Reached(12.1e9)).flops_per_s == 4e9, "no algorithm explains this"
    assert len(process.calls) == 4


def test_what_was_stored_without_a_count_was_measured_once(
    process: Counting, tmp_path: Path
) -> None:
    roofline(1, "fp32")
    (path,) = stored(tmp_path)
    path.write_bytes(b'{"flops_per_s":5.0,"bytes_per_s":1.0,"threads":1,"precision":"fp32"}')
    assert roofline(1, "fp32") == Roofline(5.0, 1.0, 1, "fp32")
    assert roofline(1, "fp32", Reached(6.0)).flops_per_s == 2e9


def test_the_roof_of_a_card_is_doubted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path))
    card, speeds = DeviceIdentity("cuda", "Some Card"), iter([1e12, 2e12])

    def of_card(seen: Reached) -> Roofline:
        return roofline_of(card, "fp32", lambda: Roofline(next(speeds), 1e11, 0, "fp32"), seen)

    assert of_card(Reached()).flops_per_s == 1e12
    assert of_card(Reached(1.5e12)) == Roofline(2e12, 1e11, 0, "fp32", str(card))


def test_what_stages_reach_is_that_of_those_which_take_long_enough() -> None:
    rows = (
        BreakdownRow("a", "stage", 0.5, 10**9, 0, 10**6),
        BreakdownRow("b", "stage", 0.3, None, 0, 6 * 10**6),
        BreakdownRow("c", "stage", 1e-6, 10**9, 0, 10**9),
        BreakdownRow(OVERHEAD, "rest", 0.199999),
    )
    assert reached(Breakdown(1.0, 10, rows)) == Reached(4e9, 2e7)
    assert reached(Breakdown(0.0, 1, ())) == Reached()


def test_threads_and_precision_are_apart(process: Counting) -> None:
    for threads, precision in ((1, "fp32"), (2, "fp32"), (1, "int8"), (1, "bf16")):
        found = roofline(threads, precision)
        assert (found.threads, found.precision) == (threads, precision)
    assert len(process.calls) == 4


def test_another_machine_or_library_is_measured_again(
    process: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    import msgspec

    here = module.environment()
    roofline(1, "fp32")
    other = msgspec.structs.replace(here, subject={**here.subject, "torch": "99"})
    monkeypatch.setattr(module, "environment", lambda: other)
    roofline(1, "fp32")
    flags = msgspec.structs.replace(here.must_match, flags=("mmx",))
    other = msgspec.structs.replace(here, must_match=flags)
    monkeypatch.setattr(module, "environment", lambda: other)
    roofline(1, "fp32")
    assert len(process.calls) == 3


def test_what_else_is_installed_does_not_matter(
    process: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    import msgspec

    here = module.environment()
    roofline(1, "fp32")
    other = msgspec.structs.replace(here, subject={**here.subject, "openvino": "99"}, context={})
    monkeypatch.setattr(module, "environment", lambda: other)
    roofline(1, "fp32")
    assert len(process.calls) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"flops_per_s": 1',
        b"[]",
        b'{"flops_per_s":0.0,"bytes_per_s":1.0,"threads":1,"precision":"fp32"}',
    ],
)
def test_a_corrupt_file_is_measured_again_with_a_warning(
    process: Counting, tmp_path: Path, content: bytes
) -> None:
    roofline(1, "fp32")
    (path,) = stored(tmp_path)
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="measured again"):
        found = roofline(1, "fp32")
    assert found.flops_per_s == 2e9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert roofline(1, "fp32") == found


def test_bad_arguments() -> None:
    with pytest.raises(ConfigError, match=r"'fp23'; did you mean 'fp32'\?"):
        roofline(1, "fp23")
    with pytest.raises(ConfigError, match="0 threads"):
        roofline(0, "fp32")


def test_a_process_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "__name__", "perfsuite.no_such_module")
    with pytest.raises(PerfsuiteError, match=r"failed: .*no_such_module"):
        roofline(1, "fp32")
    assert stored(tmp_path) == []


@pytest.fixture
def threads() -> Iterator[None]:
    """Give torch its threads back: measuring sets them for the process."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_the_best_of_all_products_is_the_roof(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {1: 0.1, 2: 0.4, 3: 0.2, 4: 2.0}

    def products(side: int) -> Iterator[Product]:
        yield partial(int, side)
        yield partial(int, side + 1)

    monkeypatch.setattr(module, "_PRODUCTS", {"fp32": products})
    monkeypatch.setattr(module, "_SIDES", (1, 2, 3))
    monkeypatch.setattr(module, "_best_s", lambda call: seconds[call()])
    monkeypatch.setattr(module, "_bandwidth", lambda: 7.0)
    monkeypatch.setattr(module, "_SECONDS", 0.3)
    # 2 / 0.1 and 2 / 0.4; the second way took longer than 0.3 s: larger sides are not tried
    assert measured(1, "fp32").flops_per_s == 20
    monkeypatch.setattr(module, "_SECONDS", 1.0)
    # 2 * 27 / 0.2 is the best of them all
    assert measured(1, "fp32") == Roofline(2 * 27 / 0.2, 7.0, 1, "fp32")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "int8"])
def test_every_product_multiplies(precision: str) -> None:
    for product in module._PRODUCTS[precision](32):
        result = product()
        assert result.shape == (32, 32)  # type: ignore[attr-defined]
        assert float(result[0, 0]) == 32  # type: ignore[index]


@pytest.mark.usefixtures("threads")
def test_it_is_really_measured_in_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SIDES", (16,))
    monkeypatch.setattr(module, "_SECONDS", 0.0)
    monkeypatch.setattr(module, "_LEAST_ARRAY_BYTES", 2**12)
    monkeypatch.setattr(module, "_last_cache_bytes", lambda: 0)
    found = measured(1, "fp32")
    assert found.flops_per_s > 0
    assert found.bytes_per_s > 0
