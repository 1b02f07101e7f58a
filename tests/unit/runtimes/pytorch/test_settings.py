"""Switches are told as the process has them, not as they should be."""

from __future__ import annotations

import pytest

from perfsuite.runtimes.pytorch.settings import settings


def told(*, on_card: bool = False) -> dict[str, str]:
    return {item.name: item.value for item in settings(on_card=on_card)}


def test_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    assert told()["flush denormals"] == "off"
    assert told()["deterministic algorithms"] == "off"
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    assert told()["deterministic algorithms"] == "on"
    if torch.backends.mkldnn.is_available():
        assert told()["mkldnn.enabled"] == "on"
        torch._C._set_mkldnn_enabled(False)
        try:
            assert told()["mkldnn.enabled"] == "off"
        finally:
            torch._C._set_mkldnn_enabled(True)
    if torch.set_flush_denormal(True):
        try:
            assert told()["flush denormals"] == "on"
        finally:
            torch.set_flush_denormal(False)


def test_a_cards_have_tf32_in_the_words_that_it_was_set_by() -> None:
    import torch

    part = torch.backends.cudnn.conv
    before = part.fp32_precision
    part.fp32_precision = "ieee"
    try:
        found = told(on_card=True)
    finally:
        part.fp32_precision = before
    assert found.keys() == {
        "mkldnn.enabled",
        "deterministic algorithms",
        "cudnn.enabled",
        "cudnn.benchmark",
        "cudnn.deterministic",
        "matmul fp32 precision",
        "cudnn.conv fp32 precision",
    }
    assert found["cudnn.benchmark"] == "off"
    assert found["cudnn.conv fp32 precision"] == "ieee"
