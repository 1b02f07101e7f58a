"""Two OpenMP runtimes in one process."""

from __future__ import annotations

import pytest
from made_up_facts import found, item

from perfsuite.domain.record import EvidenceItem


def files(*names: str) -> list[EvidenceItem]:
    return [item("library", "OpenMP", name) for name in names]


@pytest.mark.parametrize(
    ("names", "severity"),
    [
        (("libgomp.so.1", "libiomp5.so"), "fault"),
        (("libgomp-a34b3233.so.1", "libomp.so.5"), "fault"),
        (("libgomp.so.1", "libgomp-e985bcbb.so.1.0.0"), "caution"),
    ],
)
def test_two_of_them_are_named(names: tuple[str, ...], severity: str) -> None:
    one = found(*files(*names), runtime="pytorch")["two-openmp-runtimes"]
    assert one.severity == severity and "2 OpenMP runtimes" in one.message
    assert all(name in one.message for name in names)


def test_two_files_of_one_name_are_two_pools() -> None:
    pools = [EvidenceItem("reported", "threads", "OpenMP", "2")] * 2
    one = found(*files("libgomp.so.1"), *pools)["two-openmp-runtimes"]
    assert "2 copies of libgomp.so.1" in one.message


def test_one_is_sound() -> None:
    assert found(*files("libgomp.so.1"), EvidenceItem("reported", "threads", "OpenMP", "2")) == {}
    assert found(item("library", "oneTBB", "libtbb.so.12")) == {}
