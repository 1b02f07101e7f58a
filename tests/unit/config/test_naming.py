"""What people may mean by a device that no engine has."""

from __future__ import annotations

import pytest

from perfsuite.config.naming import having, suggested
from perfsuite.runtimes.table import RUNTIMES


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("gpu", "; did you mean 'cuda'?"),
        ("NVIDIA", "; did you mean 'cuda'?"),
        ("cuda:1", "; a card is 'cuda', and CUDA_VISIBLE_DEVICES=1 says which one it is"),
        ("gpu:0", "; a card is 'cuda', and CUDA_VISIBLE_DEVICES=0 says which one it is"),
        ("sm_90", "; known: cpu, cuda, sm_89; on a machine with such a card it is 'cuda'"),
        ("SM89", "; did you mean 'sm_89'?"),
        ("8.9", "; did you mean 'sm_89'?"),
        ("int8", '; INT8 is made by a pass: a recipe with passes = ["int8"]'),
        ("coda", "; did you mean 'cuda'?"),
    ],
)
def test_a_card_by_another_name_is_known(word: str, told: str) -> None:
    assert suggested(word, ("cpu", "cuda", "sm_89")) == told


def test_where_no_engine_has_cards_none_is_suggested() -> None:
    assert suggested("cuda:1", ("cpu",)) == "; known: cpu"
    assert suggested("sm_90", ("cpu",)) == "; known: cpu"


def test_the_runtimes_that_have_it_are_named_before_any_guess() -> None:
    assert having("sm_89", "devices", RUNTIMES) == ["tensorrt-rtx"]
    assert "fake" not in having("fp16", "precisions", RUNTIMES), "it runs no net"
    assert suggested("tf32", ("fp32",), ["pytorch", "tensorrt"]) == "; pytorch, tensorrt have it"
    assert suggested("sm_89", ("cuda",), ["tensorrt-rtx"]) == "; tensorrt-rtx has it"
