"""What people may mean by a device that no engine has."""

from __future__ import annotations

import pytest

from perfsuite.config.naming import suggested


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("gpu", "; did you mean 'cuda'?"),
        ("NVIDIA", "; did you mean 'cuda'?"),
        ("cuda:1", "; a card is 'cuda', and CUDA_VISIBLE_DEVICES=1 says which one it is"),
        ("gpu:0", "; a card is 'cuda', and CUDA_VISIBLE_DEVICES=0 says which one it is"),
        ("sm_90", "; did you mean 'sm_89'?"),
        ("coda", "; did you mean 'cuda'?"),
    ],
)
def test_a_card_by_another_name_is_known(word: str, told: str) -> None:
    assert suggested(word, ("cpu", "cuda", "sm_89")) == told


def test_where_no_engine_has_cards_none_is_suggested() -> None:
    assert suggested("cuda:1", ("cpu",)) == "; known: cpu"
