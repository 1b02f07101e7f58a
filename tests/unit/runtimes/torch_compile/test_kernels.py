"""Compiled kernels are traced back to modules, by what Inductor writes about its work."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from perfsuite.runtimes.torch_compile.kernels import (
    MAPPINGS,
    CodeCall,
    Ran,
    Source,
    aligned,
    code_calls,
    is_kernel,
    operator_of,
    plain_name,
    sources_of,
)

SOURCES = {
    "conv2d": Source("conv2d", "features.0"),
    "relu": Source("relu", "features.1"),
    "linear": Source("linear", "head"),
}
NOTES = {
    "cppCodeToPost": {
        "extern_kernels.addmm:10": ["addmm"],
        "extern_kernels.convolution:2": ["convolution"],
        "cpp_fused_relu_view_0:3": ["relu_1", "convolution", "made_up"],
    },
    "postToPre": {"addmm": ["linear"], "convolution": ["conv2d"], "relu_1": ["relu"]},
}


def noted(folder: Path, *graphs: dict[str, Any]) -> Path:
    for number, notes in enumerate(graphs):
        (folder / f"model__{number}").mkdir()
        (folder / f"model__{number}" / MAPPINGS).write_text(json.dumps(notes))
    return folder


def test_calls_come_in_their_order_and_products_are_no_part_of_generated_kernels(
    tmp_path: Path,
) -> None:
    assert code_calls(noted(tmp_path, NOTES), SOURCES) == (
        CodeCall("extern_kernels.convolution:2", ("features.0/conv2d",)),
        CodeCall("cpp_fused_relu_view_0:3", ("features.1/relu", "features.0/conv2d")),
        CodeCall("extern_kernels.addmm:10", ("head/linear",)),
    )


def test_of_several_graphs_nobody_knows_the_order(tmp_path: Path) -> None:
    assert code_calls(noted(tmp_path, NOTES, NOTES), SOURCES) == ()
    assert code_calls(tmp_path / "none", SOURCES) == ()


def node(name: str, target: str, stack: Any = None) -> Any:
    meta = {"nn_module_stack": stack} if stack else {}
    return SimpleNamespace(name=name, op="call_function", target=target, meta=meta)


def graph(*nodes: Any) -> Any:
    placeholder = SimpleNamespace(name="x", op="placeholder", target="x", meta={})
    return SimpleNamespace(nodes=[placeholder, *nodes])


def test_a_captured_program_takes_its_paths_from_the_exported_one() -> None:
    stack = {"": ("", "Net"), "f": ("features", "Sequential"), "f0": ("features.0", "Conv2d")}
    exported = graph(node("conv2d", "aten.conv2d.default", stack), node("add", "aten.add.Tensor"))
    captured = graph(node("c", "aten.conv2d.default"), node("a", "aten.add.Tensor"))
    assert sources_of(captured, exported) == {
        "c": Source("conv2d", "features.0"),
        "a": Source("add", ""),
    }
    other = graph(node("c", "aten.conv2d.default"), node("a", "aten.mul.Tensor"))
    assert sources_of(other, exported) == {}, "then nobody knows which is which"


@pytest.mark.parametrize(
    ("expression", "path"),
    [
        ("L['self']._modules['layers'].0", "layers.0"),
        ("L['fn'].layers.0", "layers.0"),
        ("L['fn']", ""),
        ("L['fn'].fn.L", "fn.L"),  # modules of such names
    ],
)
def test_a_module_as_it_is_has_paths_of_its_own(expression: str, path: str) -> None:
    stack = {"L__self__": ("L['self']", "Net"), "l": (expression, "Conv2d")}
    captured = graph(node("conv2d", len, stack), node("add", "add", stack))
    assert sources_of(captured) == {"conv2d": Source("len", path), "add": Source("add", path)}


def test_a_module_that_is_not_exported_names_its_layers() -> None:
    """Those of a real capture, whose targets are functions."""
    torch = pytest.importorskip("torch")
    found: list[dict[str, Source]] = []

    def backend(graph: Any, inputs: Any) -> Any:
        found.append(sources_of(graph.graph))
        return graph.forward

    net = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.ReLU()).eval()
    with torch.no_grad():
        torch.compile(net, backend=backend)(torch.zeros(1, 1, 2, 2))
    assert list(found[0].values()) == [Source("conv2d", "0"), Source("relu", "1")]


@pytest.mark.parametrize(
    ("traced", "name"),
    [
        ("graph_0_cpp_fused_relu_view_0", "cpp_fused_relu_view_0"),
        ("cpp_fused_relu_view_0", "cpp_fused_relu_view_0"),
        ("triton_poi_fused_relu_1", "triton_poi_fused_relu_1"),
        ("aten::convolution", "convolution"),
        ("mkldnn::_convolution_pointwise", "_convolution_pointwise"),
    ],
)
def test_names_in_a_trace_are_those_of_the_code(traced: str, name: str) -> None:
    assert is_kernel(traced)
    assert plain_name(traced) == name


def test_marks_in_a_trace_are_no_kernels() -> None:
    assert not is_kernel("## Call CompiledFxGraph abc ##")
    assert not is_kernel("TorchDynamo Cache Lookup")
    assert operator_of("torch.ops.mkldnn._linear_pointwise.default") == "_linear_pointwise"


def test_what_ran_is_matched_with_the_code_in_its_order() -> None:
    code = (
        CodeCall("extern_kernels.convolution:1"),
        CodeCall("cpp_fused_relu_0:2"),
        CodeCall("extern_kernels.convolution:3"),
        CodeCall("torch.ops.aten.avg_pool2d.default:4"),
    )
    names = (
        "aten::convolution",
        "graph_0_cpp_fused_relu_0",
        "aten::reshape",
        "aten::convolution",
        "aten::avg_pool2d",
        "aten::avg_pool2d",
    )
    found = aligned(code, [Ran(name, 0, 1) for name in names])
    assert [place for _, place in found] == [0, 1, None, 2, 3, None]
