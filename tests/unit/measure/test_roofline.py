"""The roofline's cache, errors and arithmetic; what a machine reaches is not tested."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from perfsuite.domain.profile import Roofline
from perfsuite.errors import ConfigError, PerfsuiteError
from perfsuite.measure import roofline as module
from perfsuite.measure.roofline import Product, measured, roofline


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
