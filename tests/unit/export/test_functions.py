"""Local functions are expanded, and their nodes named after the calls."""

from __future__ import annotations

from pathlib import Path

import odd_graphs as odd
import onnx

from perfsuite.export.functions import inlined
from perfsuite.export.onnx import load_graph


def test_a_model_without_functions_stays_what_it_is() -> None:
    plain = odd.model(odd.body())
    assert inlined(plain) is plain


def test_nodes_are_named_after_their_calls() -> None:
    flat = inlined(odd.local_function())
    assert not flat.functions
    assert [(node.name, node.op_type) for node in flat.graph.node][:4] == [
        ("stem/conv", "Conv"),
        ("stem/relu", "Relu"),
        ("trunk/conv", "Conv"),
        ("trunk/relu", "Relu"),
    ]


def test_a_graph_is_loaded_without_functions_and_with_names_of_their_own(tmp_path: Path) -> None:
    net = odd.local_function()
    for node in net.graph.node:
        node.name = "twice"
    onnx.save(net, tmp_path / "net.onnx")
    names = [node.name for node in load_graph(tmp_path / "net.onnx").graph.node]
    assert len(set(names)) == len(names) == 7
