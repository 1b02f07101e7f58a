"""Methods as submodules for the time being."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alike import assert_alike

from perfsuite.domain.model import InputSpec
from perfsuite.errors import ConfigError
from perfsuite.export import onnx as exporting
from perfsuite.export.onnx import export_graph, load_graph
from perfsuite.export.spans import methods, spans

torch = pytest.importorskip("torch")


def net() -> Any:
    from torch import nn

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 4)

        def shaped(self, x: Any, *, factor: float) -> Any:
            return torch.tanh(x * factor)

        def forward(self, x: Any) -> Any:
            return self.shaped(self.fc(x), factor=0.5).exp()

    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), Head()).eval()


def test_methods_are_told_from_modules() -> None:
    assert methods(net(), ["0", "1", "1.fc", "1.shaped"]) == ("1.shaped",)


@pytest.mark.parametrize("path", ["1.shape", "2.shaped", "1.fc.weight", "1.forward", "1.training"])
def test_what_is_neither_is_an_error_that_suggests(path: str) -> None:
    with pytest.raises(ConfigError, match=f"no module and no method '{path}'; (did|known)"):
        methods(net(), [path])


def test_hooks_see_a_method_and_nothing_stays_behind() -> None:
    module, x = net(), torch.ones(2, 5)
    before, names = module(x), list(dict(module.named_modules()))
    state = list(module.state_dict())
    seen: list[tuple[int, ...]] = []
    with spans(module, ["1.shaped", "1"]):
        span = module.get_submodule("1.shaped")
        span.register_forward_hook(lambda *given: seen.append(tuple(given[-1].shape)))
        assert_alike(module(x), before)
        assert list(module.state_dict()) == state
        assert not any(part.training for part in module.modules())
    assert seen == [(2, 4)]
    assert list(dict(module.named_modules())) == names
    assert_alike(module(x), before)
    assert "shaped" not in vars(module[1])


def test_spans_may_be_asked_for_twice() -> None:
    module = net()
    with spans(module, ["1.shaped"]):
        with spans(module, ["1.shaped"]):
            module(torch.ones(1, 5))
        assert "1.shaped" in dict(module.named_modules())
    assert "1.shaped" not in dict(module.named_modules())


def test_an_error_inside_leaves_nothing_behind() -> None:
    module = net()
    with pytest.raises(RuntimeError), spans(module, ["1.shaped"]):
        module(torch.ones(1, 7))
    assert "1.shaped" not in dict(module.named_modules())


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_exporters_write_a_methods_path(
    exporter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise RuntimeError("no graph here")

    if exporter == "torchscript":
        monkeypatch.setattr(exporting, "_dynamo", refuse)
    module, spec = net(), (InputSpec("x", "float32", ("batch", 5)),)
    example = {"x": np.ones((2, 5), np.float32)}
    with spans(module, ["1.shaped"]):
        if exporter == "torchscript":
            with pytest.warns(UserWarning, match="the TorchScript exporter"):
                export_graph(module, spec, example, tmp_path / "net.onnx")
        else:
            export_graph(module, spec, example, tmp_path / "net.onnx")
    names = {node.op_type: node.name for node in load_graph(tmp_path / "net.onnx").graph.node}
    assert names["Tanh"] == "1.shaped/Tanh"
    assert names["Mul"] == "1.shaped/Mul"
    assert names["Exp"] == "1/Exp"


def test_a_node_whose_scope_the_exporter_lost_belongs_to_its_readers(tmp_path: Path) -> None:
    from torch import nn

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            one, other = x.chunk(2, dim=1)  # becomes a Split without a scope
            return torch.cat([one, self.fc(other)], dim=1)

    module, path = nn.Sequential(nn.ReLU(), Half(), nn.ReLU()).eval(), tmp_path / "half.onnx"
    spec = (InputSpec("x", "float32", ("batch", 6)),)
    export_graph(module, spec, {"x": np.ones((2, 6), np.float32)}, path)
    names = {node.op_type: node.name for node in load_graph(path).graph.node}
    assert names["Split"] == "1/Split"
