"""MKL on a processor of another maker."""

from __future__ import annotations

import pytest
from made_up_facts import AMD, AVX2, INTEL, VNNI, found, item, layer

LAYERS = (layer("head", "addmm", "SGEMM", "MKL"),)
# What MKL_VERBOSE says, on an AMD processor and on one of Intel's.
BASE = item("dispatch", "MKL", "Intel(R) Architecture processors")
FAST = "Intel(R) Advanced Vector Extensions 512 (Intel(R) AVX-512) enabled processors"


@pytest.mark.parametrize(
    ("version", "flags", "taken"),
    [
        ("2024.2-Product inside PyTorch", VNNI, "AVX2"),
        ("2019.4-Product inside PyTorch", AVX2, "SSE"),
    ],
)
def test_a_path_below_the_processors_is_a_caution_that_names_the_layers(
    version: str, flags: tuple[str, ...], taken: str
) -> None:
    items = (BASE, item("version", "MKL", version))
    given = found(*items, runtime="pytorch", processor=AMD, flags=flags, layers=LAYERS)
    one = given["mkl-slow-path"]
    assert one.severity == "caution" and "1 layer: head" in one.message
    assert f"{taken} at most" in one.message
    assert "'Intel(R) Architecture processors'" in one.message


@pytest.mark.parametrize("said", [FAST, "Intel(R) Advanced Vector Extensions 2 (Intel(R) AVX2)"])
def test_a_path_with_vectors_is_sound(said: str) -> None:
    items = (item("dispatch", "MKL", said),)
    assert found(*items, runtime="pytorch", processor=AMD, layers=LAYERS) == {}


def test_avx2_is_the_best_of_most_amd_processors() -> None:
    assert found(BASE, runtime="pytorch", processor=AMD, flags=AVX2, layers=LAYERS) == {}


def test_nothing_is_told_where_it_computes_nothing_or_was_told_to() -> None:
    assert found(BASE, runtime="pytorch", processor=AMD) == {}
    assert found(BASE, runtime="pytorch", processor=INTEL, layers=LAYERS) == {}


def test_where_it_is_told_to_take_less_that_is_the_finding() -> None:
    capped = (BASE, item("setting", "MKL_CBWR", "COMPATIBLE"), item("library", "MKL", "inside"))
    given = found(*capped, runtime="pytorch", processor=AMD, layers=LAYERS)
    assert given.keys() == {"instruction-set-capped"}
