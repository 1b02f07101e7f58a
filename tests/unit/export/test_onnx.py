"""Exporting: same bytes, scoped names, nothing of this machine; reading: clear refusals."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfsuite.domain.model import InputSpec
from perfsuite.errors import BuildError, ConfigError
from perfsuite.export import onnx as exporting
from perfsuite.export.onnx import EXPORTER, export_fixed, export_graph, graph_spec, load_graph
from perfsuite.export.parity import parity

SPEC = (InputSpec("image", "float32", ("batch", 3, 8, 8)),)


def net() -> Any:
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
            self.bn = nn.BatchNorm2d(8)
            self.relu = nn.ReLU()

        def forward(self, image: Any) -> Any:
            return self.relu(self.bn(self.conv(image)))

    torch.manual_seed(0)
    parts = {"block": nn.Sequential(Block()), "flat": nn.Flatten(), "fc": nn.Linear(512, 4)}
    module = nn.Sequential()
    for name, part in parts.items():
        module.add_module(name, part)
    norm = module.get_submodule("block.0.bn")
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    nn.init.normal_(norm.running_mean)
    return module.eval()


def pictures(batch: int) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(batch).normal(size=(batch, 3, 8, 8)).astype(np.float32)}


def answer(path: Path, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs: list[np.ndarray] = session.run(None, inputs)
    return outputs


@pytest.fixture(scope="module", params=["dynamo", "torchscript"])
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "torchscript":
            patch.setattr(exporting, "_dynamo", refuse)
        for name in ("one.onnx", "two.onnx"):
            if request.param == "torchscript":
                with pytest.warns(UserWarning, match=r"no graph here\); the TorchScript"):
                    export_graph(net(), SPEC, pictures(2), folder / name)
            else:
                export_graph(net(), SPEC, pictures(2), folder / name)
    return request.param, folder / "one.onnx", folder / "two.onnx"


def refuse(*_: Any) -> Any:
    raise RuntimeError("no graph here\nand much more")


def test_exporting_twice_gives_equal_bytes(exported: tuple[str, Path, Path]) -> None:
    _, one, two = exported
    assert one.read_bytes() == two.read_bytes()


def test_the_graph_says_which_exporter_wrote_it(exported: tuple[str, Path, Path]) -> None:
    name, path, _ = exported
    found = {entry.key: entry.value for entry in load_graph(path).metadata_props}
    assert found == {EXPORTER: name}


def test_nothing_names_this_machine_or_its_classes(exported: tuple[str, Path, Path]) -> None:
    content = exported[1].read_bytes()
    for text in (b"site-packages", b".py", str(Path.cwd()).encode(), b"Block", b"stack_trace"):
        assert text not in content, text


def test_nodes_are_named_by_the_module_they_belong_to(exported: tuple[str, Path, Path]) -> None:
    nodes = {node.name: node.op_type for node in load_graph(exported[1]).graph.node}
    for name, kind in {
        "block.0.conv/Conv": "Conv",
        "block.0.relu/Relu": "Relu",
        "fc/Gemm": "Gemm",
    }.items():
        assert nodes[name] == kind


def test_scopes_stay_in_the_metadata_of_the_dynamo_exporter(
    exported: tuple[str, Path, Path],
) -> None:
    name, path, _ = exported
    if name != "dynamo":
        pytest.skip("the TorchScript exporter has scopes in names alone")
    relu = next(node for node in load_graph(path).graph.node if node.op_type == "Relu")
    scopes = ast.literal_eval(relu.metadata_props[0].value)
    assert "block.0.relu" in scopes


@pytest.mark.parametrize("batch", [1, 5])
def test_any_batch_is_answered_as_the_module_does(
    exported: tuple[str, Path, Path], batch: int
) -> None:
    import torch

    inputs = pictures(batch)
    with torch.no_grad():
        reference = net()(torch.from_numpy(inputs["image"])).numpy()
    parity([reference], answer(exported[1], inputs), ["logits"], "fp32")


def test_the_spec_comes_back(exported: tuple[str, Path, Path]) -> None:
    inputs, outputs = graph_spec(load_graph(exported[1]))
    assert inputs == SPEC
    assert len(outputs) == 1


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    export_graph(net(), SPEC, pictures(2), tmp_path / "graph.onnx")
    assert capfd.readouterr().out == ""


def test_two_inputs_and_two_outputs_keep_their_order(tmp_path: Path) -> None:
    import torch
    from torch import nn

    class Two(nn.Module):
        def forward(self, left: Any, right: Any) -> Any:
            return {"sum": left + right, "product": torch.relu(left) * right}

    spec = tuple(InputSpec(name, "float32", ("batch", 3)) for name in ("zebra", "ant"))
    rng = np.random.default_rng(0)
    inputs = {entry.name: rng.normal(size=(2, 3)).astype(np.float32) for entry in spec}
    export_graph(Two(), spec, inputs, tmp_path / "two.onnx")
    assert graph_spec(load_graph(tmp_path / "two.onnx"))[0] == spec
    total, product = answer(tmp_path / "two.onnx", inputs)
    np.testing.assert_allclose(total, inputs["zebra"] + inputs["ant"], rtol=1e-6)
    np.testing.assert_allclose(product, np.maximum(inputs["zebra"], 0) * inputs["ant"], rtol=1e-6)


def test_a_batch_that_python_counts_stays_open(tmp_path: Path) -> None:
    import torch

    class Counting(torch.nn.Module):
        def forward(self, image: Any) -> Any:
            return image.reshape(len(image), -1) * 2

    export_graph(Counting(), SPEC, pictures(2), tmp_path / "graph.onnx")
    (given,) = answer(tmp_path / "graph.onnx", pictures(3))
    np.testing.assert_allclose(given, pictures(3)["image"].reshape(3, -1) * 2)


def test_what_neither_exporter_takes_is_a_build_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_dynamo", refuse)
    monkeypatch.setattr(exporting, "_torchscript", refuse)
    with (
        pytest.warns(UserWarning, match="TorchScript"),
        pytest.raises(
            BuildError, match=r"no graph here; TorchScript: RuntimeError: no graph here$"
        ),
    ):
        export_graph(net(), SPEC, pictures(2), tmp_path / "graph.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_refused_graph_is_not_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import torch

    class Spectrum(torch.nn.Module):
        def forward(self, image: Any) -> Any:
            return torch.fft.rfft2(image).abs()

    with pytest.raises(BuildError, match="fft_rfft2"):
        export_fixed(Spectrum(), pictures(2), tmp_path / "graph.onnx")
    assert capfd.readouterr() == ("", "")


def test_an_example_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape("['picture']")):
        export_graph(net(), SPEC, {"picture": pictures(2)["image"]}, tmp_path / "graph.onnx")
    with pytest.raises(ConfigError, match="must be 2 or more"):
        export_graph(net(), SPEC, pictures(1), tmp_path / "graph.onnx")


# -- reading ---------------------------------------------------------------------------------


def small(shape: list[Any], operator: str = "MatMul") -> Any:
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"])],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 4]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(shape))],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize("kept", [0, 1, 20, 100, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "short.onnx"
    path.write_bytes(small(["N", 4]).SerializeToString()[:kept])
    with pytest.raises(ConfigError, match=r"short\.onnx: not an ONNX .*export it again"):
        load_graph(path)


def test_what_is_no_onnx_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text('{"hello": 1}\n')
    with pytest.raises(ConfigError, match="not an ONNX file"):
        load_graph(path)
    with pytest.raises(ConfigError, match="no such file"):
        load_graph(tmp_path / "absent.onnx")


def test_an_operator_that_onnx_does_not_have_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(small(["N", 4], "Frobnicate").SerializeToString())
    with pytest.raises(ConfigError, match="Frobnicate"):
        load_graph(path)


def test_external_data_are_read_beside_the_file(tmp_path: Path) -> None:
    import onnx

    path = tmp_path / "big.onnx"
    onnx.save(
        small(["N", 4]), path, save_as_external_data=True, location="big.data", size_threshold=0
    )
    assert np.array_equal(
        onnx.numpy_helper.to_array(load_graph(path).graph.initializer[0]), np.ones((4, 4))
    )
    (tmp_path / "big.data").write_bytes(b"\0" * 8)
    with pytest.raises(ConfigError, match="cut short; copy it again"):
        load_graph(path)
    (tmp_path / "big.data").unlink()
    with pytest.raises(ConfigError, match=r"big\.data, which is not there"):
        load_graph(path)


@pytest.mark.parametrize("first", ["N", None])
def test_a_dynamic_first_dimension_is_called_batch(tmp_path: Path, first: str | None) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(small([first, "length", 4]).SerializeToString())
    spec, outputs = graph_spec(load_graph(path))
    assert spec == (InputSpec("x", "float32", ("batch", "length", 4)),)
    assert outputs == ("y",)


def test_every_node_has_a_name_of_its_own(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 4]) for n in "xy"]
    nodes = [
        helper.make_node("Relu", ["x"], ["z"]),
        helper.make_node("Sigmoid", ["z"], ["w"], name="z"),
        helper.make_node("Tanh", ["w"], ["y"], name="z"),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", values[:1], values[1:]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.save(model, tmp_path / "odd.onnx")
    assert [node.name for node in load_graph(tmp_path / "odd.onnx").graph.node] == [
        "z",
        "z_1",
        "z_2",
    ]


def test_a_fixed_batch_stays_fixed(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(small([2, 4]).SerializeToString())
    assert graph_spec(load_graph(path))[0][0].shape == (2, 4)


def test_an_unnamed_dynamic_dimension_gets_a_name() -> None:
    assert graph_spec(small([1, None, 4]))[0][0].shape == (1, "x[1]", 4)


def test_renamed_values_are_followed_into_control_flow(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    from perfsuite.export.normalize import normalize

    def body(name: str, operator: str) -> Any:
        output = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(operator, ["h"], [name])], name, [], [output])

    branches = {"then_branch": body("a", "Neg"), "else_branch": body("b", "Abs")}
    graph = helper.make_graph(
        [
            helper.make_node("Relu", ["x"], ["h"], doc_string="File /somewhere/model.py"),
            helper.make_node("If", ["flag"], ["y"], **branches),
        ],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch"]),
            helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    normalize(model)
    path = tmp_path / "if.onnx"
    onnx.save(model, path)
    assert b"somewhere" not in path.read_bytes()
    x = np.array([1, -2], np.float32)
    for flag, wanted in ((True, [-1, 0]), (False, [1, 0])):
        assert answer(path, {"x": x, "flag": np.array(flag)})[0].tolist() == wanted


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("/layer1/layer1.0/conv1/Conv", "layer1.0.conv1"),
        ("/layer1/layer1.0/downsample/downsample.0/Conv", "layer1.0.downsample.0"),
        ("/Flatten", ""),
        ("Identity_3", ""),
    ],
)
def test_torchscript_names_become_module_paths(name: str, scope: str) -> None:
    from perfsuite.export.normalize import module_path

    assert module_path(name) == scope


def test_the_node_that_the_checker_means_is_told(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Relu", ["c"], ["y"], "last"), helper.make_node("Abs", ["x"], ["z"])]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [x], [y])), tmp_path / "net.onnx")
    with pytest.raises(ConfigError, match="sorted, however input 'c' of node: name: last"):
        load_graph(tmp_path / "net.onnx")
