"""A cut net of many kinds at once is exported, and answers alike on both engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import openvino
import pytest
import torch
from common_nets import Attention, C2f, Heads, shuffled
from prune_nets import CLASSES, Toy, answers, context, conv, pictures, pooled, seeded
from torch import nn

from perfsuite.export.onnx import export_fixed
from perfsuite.passes.prune import Prune


def net() -> nn.Module:
    def forward(n: Any, x: torch.Tensor) -> torch.Tensor:
        x = n.prelu(n.c2f(n.norm(n.a(x)).relu()))
        x = n.grouped(shuffled(n, x))
        x = torch.cat([x, n.up(n.down(x))], 1)
        tokens = n.b(x).flatten(2).transpose(1, 2)
        tokens = tokens + n.torchs(tokens)
        found: torch.Tensor = n.head(
            pooled((tokens + n.heads(tokens)).transpose(1, 2).unflatten(2, (8, 8)))
        )
        return found

    layers = {
        **{"a": conv(3, 16), "norm": nn.GroupNorm(4, 16), "c2f": C2f(), "prelu": nn.PReLU(16)},
        **{"grouped": conv(16, 16, groups=4), "down": conv(16, 32, stride=2)},
        **{"up": nn.ConvTranspose2d(32, 16, 2, stride=2), "b": conv(32, 16)},
        **{"torchs": Attention(16, 4), "heads": Heads(16, 2), "head": nn.Linear(16, CLASSES)},
    }
    return Toy(forward, **layers)


def test_both_engines_answer_as_the_cut_net(tmp_path: Path) -> None:
    cut = seeded(net)
    edits = Prune(ratio=0.4, scope="uniform", importance="l2").fit(cut, context(tmp_path))
    assert edits.data["attributes"] == {
        "grouped.groups": 2,
        "heads.num_heads": 1,
        "norm.num_groups": 2,
    }
    assert cut.torchs.inner.num_heads == 2  # type: ignore[union-attr]
    fresh = Prune(ratio=0.4).rebuild(seeded(net), edits)
    path, given = tmp_path / "cut.onnx", pictures()
    expected = answers(cut, given)[0].numpy()
    np.testing.assert_allclose(answers(fresh, given)[0].numpy(), expected)
    export_fixed(fresh, given, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: given["image"]})[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(compiled([given["image"]])[0], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("asks", [True, False])
def test_torchs_attention_with_all_heads_answers_as_before(first: bool, asks: bool) -> None:
    from perfsuite.passes.prune.heads import with_heads

    torch.manual_seed(0)
    whole, other = (nn.MultiheadAttention(8, 2, batch_first=first).eval() for _ in range(2))
    other.load_state_dict(whole.state_dict())
    with_heads(other, other.in_proj_weight.shape)
    query, key = torch.randn(3, 5, 8), torch.randn(3, 5, 8)
    samples, places = (3, 5) if first else (5, 3)
    hidden = torch.zeros(samples, places, dtype=torch.bool)
    hidden[0, 1] = True
    masks: list[dict[str, Any]] = [
        {},
        {"attn_mask": torch.triu(torch.ones(places, places, dtype=torch.bool), 1)},
        {"key_padding_mask": hidden},
        {"attn_mask": torch.randn(2 * samples, places, places)},
    ]
    for mask in masks:
        expected = whole(query, key, key, need_weights=asks, **mask)
        found = other(query, key, key, need_weights=asks, **mask)
        torch.testing.assert_close(found[0], expected[0])
        if asks:
            torch.testing.assert_close(found[1], expected[1])
    flat = whole(query[0], key[0], key[0]), other(query[0], key[0], key[0])
    torch.testing.assert_close(flat[1], flat[0])
