"""MKL on a processor of another maker."""

from __future__ import annotations

import pytest
from made_up_facts import AMD, VNNI, found, item, layer

LAYERS = (layer("head", "addmm", "SGEMM", "MKL"),)
# What MKL_VERBOSE says, on an AMD processor and on one of Intel's.
BASE = item("dispatch", "MKL", "Intel(R) Architecture processors")
FAST = "Intel(R) Advanced Vector Extensions 512 (Intel(R) AVX-512) enabled processors"


def test_a_path_without_vectors_is_a_caution_that_names_the_layers() -> None:
    one = found(BASE, runtime="pytorch", processor=AMD, layers=LAYERS)["mkl-slow-path"]
    assert one.severity == "caution" and "1 layers (head)" in one.message
    assert "'Intel(R) Architecture processors'" in one.message


@pytest.mark.parametrize("said", [FAST, "Intel(R) Advanced Vector Extensions 2 (Intel(R) AVX2)"])
def test_a_path_with_vectors_is_sound(said: str) -> None:
    assert found(item("dispatch", "MKL", said), runtime="pytorch", layers=LAYERS) == {}


def test_nothing_is_told_where_it_computes_nothing() -> None:
    assert found(BASE, runtime="pytorch", processor=AMD, flags=VNNI) == {}
