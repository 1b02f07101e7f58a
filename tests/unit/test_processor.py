"""What a processor's flags mean for the speed of a net."""

from __future__ import annotations

import pytest

from perfsuite.processor import FEATURES, best_instruction_sets


@pytest.mark.parametrize(
    ("flags", "best"),
    [
        ((), ()),
        (("sse4_1", "sse4_2"), ("SSE4.2",)),
        (("sse4_2", "avx"), ("AVX",)),
        (("sse4_2", "avx", "avx2", "fma"), ("AVX2",)),
        (("avx2", "avx_vnni"), ("AVX2", "VNNI")),
        (("avx2", "avx512f", "avx512_vnni", "avx512_bf16"), ("AVX-512", "VNNI", "bf16")),
        (
            ("avx2", "avx512f", "avx512_vnni", "amx_tile", "amx_int8", "amx_bf16"),
            ("AVX-512", "VNNI", "AMX", "bf16"),
        ),
        (("asimd", "asimddp"), ("NEON", "dot product")),
        (("asimd", "sve", "i8mm", "bf16"), ("SVE", "i8mm", "bf16")),
    ],
)
def test_the_best_of_each_kind_is_named(flags: tuple[str, ...], best: tuple[str, ...]) -> None:
    assert best_instruction_sets(flags) == best
    assert best_instruction_sets((*flags, "hypervisor")) == best


def test_all_that_decide_are_features_of_a_device() -> None:
    assert best_instruction_sets(FEATURES) == ("AVX-512", "VNNI", "AMX", "bf16")
