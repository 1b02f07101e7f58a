"""What is said of layers that have no graph which engines run."""

from __future__ import annotations

import pytest

from perfsuite.runner.build.export_hints import layer_hint

torch = pytest.importorskip("torch")
nn = torch.nn


def test_layers_are_named_by_their_paths() -> None:
    projected = nn.ModuleDict({"first": nn.LSTM(4, 8), "second": nn.LSTM(4, 8, proj_size=2)})
    for said in ("while running LSTM node. Name:", "FAIL : Node (second/Concat_2) Op (Concat)"):
        hint = layer_hint(projected, said)
        assert hint.startswith("'second' is an LSTM with proj_size, which ONNX's has not")
    assert layer_hint(projected, "FAIL : Node (first/Concat_2) Op (Concat)") == ""
    bags = nn.Sequential(nn.Embedding(4, 2), nn.EmbeddingBag(4, 2))
    assert "'1' is an EmbeddingBag, which a graph has as a loop" in layer_hint(
        bags, "Unsupported input type dynamic"
    )


def test_what_moves_the_batch_is_told_by_what_the_exporter_says() -> None:
    said = "Error when calling function 'TracedOnnxFunction(<function aten_roll_complex at 0x7f>)'"
    assert layer_hint(nn.Identity(), said).endswith("name the others, such as dim=(-2, -1)")
    others = nn.Sequential(nn.LSTM(4, 8), nn.LSTM(4, 8, proj_size=2), nn.EmbeddingBag(4, 2))
    assert layer_hint(others, "no such operator") == ""  # which none of them is
