"""The width of vectors by flags, by words, and by OpenBLAS's names of cores."""

from __future__ import annotations

import pytest
from made_up_facts import AVX2, AVX512, VNNI

from perfsuite.libraries.vectors import (
    VECTORS,
    onednn_best,
    onednn_cap,
    onednn_has_vnni,
    vectors_in,
    vectors_of,
    vectors_of_core,
)


@pytest.mark.parametrize(
    ("flags", "best"),
    [
        (("sse2",), "SSE"),
        (("sse2", "avx"), "AVX"),
        (AVX2, "AVX2"),
        ((*AVX2, "avx512f"), "AVX2"),  # libraries need more of AVX-512
        (AVX512, "AVX-512"),
        (("asimd",), None),
    ],
)
def test_a_processors_vectors(flags: tuple[str, ...], best: str | None) -> None:
    place = vectors_of(flags)
    assert (None if place is None else VECTORS[place]) == best


@pytest.mark.parametrize(
    ("text", "best"),
    [
        ("SSE41", "SSE"), ("AVX", "AVX"), ("AVX2_VNNI", "AVX2"), ("AVX512_CORE", "AVX-512"),
        ("AVX-512 VNNI", "AVX-512"), ("AMX", "AVX-512"), ("AVX10_1_512", "AVX-512"),
        ("Intel(R) Advanced Vector Extensions 2 (Intel(R) AVX2) enabled processors", "AVX2"),
        ("Intel(R) Architecture processors", None), ("NEON", None),
    ],
)  # fmt: skip
def test_vectors_by_words(text: str, best: str | None) -> None:
    place = vectors_in(text)
    assert (None if place is None else VECTORS[place]) == best


def test_cores_of_openblas() -> None:
    names = ("Katmai", "Sandybridge", "Zen", "SkylakeX")
    places = [vectors_of_core(name) for name in names]
    assert places == [0, 1, 2, 3] and vectors_of_core("neoversen1") is None


def test_caps_of_onednn_are_in_order_and_some_lack_vnni() -> None:
    caps = [onednn_cap(name) for name in ("SSE41", "AVX2", "AVX2_VNNI", "AVX512_CORE")]
    assert caps == [0, 2, 3, 5]
    assert [onednn_has_vnni(cap) for cap in caps if cap is not None] == [False, False, True, False]
    assert onednn_has_vnni(onednn_cap("AVX512_CORE_AMX") or 0)
    best = [onednn_best(flags) for flags in (("sse2", "sse4_1"), AVX2, AVX512, VNNI)]
    assert best == [0, 2, 5, onednn_cap("AVX512_CORE_BF16")]
