"""How modules are called with named arrays, and the order of the tensors in their answers."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn
Tensor = torch.Tensor

from perfsuite.domain.model import InputSpec  # noqa: E402
from perfsuite.domain.task import Inputs  # noqa: E402
from perfsuite.errors import ConfigError, Unsupported  # noqa: E402
from perfsuite.export.calls import (  # noqa: E402
    answer,
    call_one,
    called,
    flattened,
    tensor_of,
    tensors_in,
)
from perfsuite.export.onnx import export_graph, graph_spec, load_graph  # noqa: E402

TWO = {"a": np.full((2, 3), 5, np.float32), "b": np.full((2, 3), 2, np.float32)}
ONE = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}


def of(forward: Any) -> nn.Module:
    """Return a module whose class has this `forward`."""
    made: nn.Module = type("Net", (nn.Module,), {"forward": forward})()
    return made


def ordered(self: Any, a: Tensor, b: Tensor) -> Tensor:
    return a - b


def swapped(self: Any, b: Tensor, a: Tensor) -> Tensor:
    return a - b


def keywords(self: Any, *, b: Tensor, a: Tensor) -> Tensor:
    return a - b


def open_ended(self: Any, **given: Tensor) -> Tensor:
    return given["a"] - given["b"]


def others(self: Any, x: Tensor, y: Tensor, a: Any = None) -> Tensor:
    return x - y


def mapped(self: Any, batch: dict[str, Tensor]) -> Tensor:
    return batch["a"] - batch["b"]


def unsaid(self: Any, batch: Any) -> Tensor:
    return batch["a"] - batch["b"]  # type: ignore[no-any-return]


def starred(self: Any, *tensors: Tensor) -> Tensor:
    return tensors[0] - tensors[1]


def partly(self: Any, x: Tensor, y: Any = None, b: Any = None) -> Tensor:
    assert y is None
    return x - b  # type: ignore[no-any-return]


def other_first(self: Any, b: Tensor, x: Tensor) -> Tensor:
    return x - b


def rest_by_name(self: Any, x: Tensor, **given: Tensor) -> Tensor:
    return x - given["b"]


def listed(self: Any, parts: list[Tensor]) -> Tensor:
    return parts[0] - parts[1]


@pytest.mark.parametrize(
    "forward",
    [
        ordered,
        swapped,
        keywords,
        open_ended,
        others,
        mapped,
        unsaid,
        starred,
        partly,
        other_first,
        rest_by_name,
        listed,
    ],
    ids=lambda forward: forward.__name__,
)
def test_each_input_comes_where_forward_wants_it(forward: Any) -> None:
    assert called(of(forward), TWO).tolist() == [[3.0] * 3] * 2


def pictures(self: Any, images: list[Tensor], targets: Any = None) -> Tensor:
    assert isinstance(images, list)
    return torch.stack([image * 2 for image in images])


def test_a_list_of_pictures_is_made_of_one_batch() -> None:
    assert called(of(pictures), ONE).tolist() == (ONE["a"] * 2).tolist()


def spoiling(self: Any, x: Tensor) -> Tensor:
    x -= 1
    return x


def test_arrays_stay_as_they_are() -> None:
    before = ONE["a"].copy()
    assert called(of(spoiling), ONE).tolist() == (before - 1).tolist()
    np.testing.assert_array_equal(ONE["a"], before)


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclasses.dataclass
class Result:
    scores: Any
    loss: Any = None
    features: Any = None


class Output(OrderedDict[str, Any]):
    """As Hugging Face's `ModelOutput`: a mapping of its own class."""


def test_tensors_come_in_the_order_of_their_places() -> None:
    a, b, c, d = (torch.tensor(float(value)) for value in range(4))
    found = Output(z=Result(a, None, [b, 3, "text"]), y=Pair((c,), {"k": d, "j": None}))
    assert [one.item() for one in tensors_in(found)] == [0.0, 1.0, 2.0, 3.0]


def test_what_holds_no_known_tensors_is_refused() -> None:
    with pytest.raises(Unsupported, match="Net: its forward answers a object, and what tensors"):
        answer(of(lambda self, a: [a, object()]), ONE)


@pytest.mark.parametrize(
    "array",
    [ONE["a"][:, ::-1], ONE["a"].astype(">f4"), np.broadcast_to(np.float32(1), (2, 3))],
    ids=["reversed", "foreign byte order", "read only"],
)
def test_arrays_that_torch_does_not_take_are_copied(array: np.ndarray) -> None:
    assert tensor_of(array).tolist() == array.tolist()


def test_arrays_without_numbers_are_told() -> None:
    with pytest.raises(ConfigError, match="takes numbers"):
        tensor_of(np.array(["a"]))


def exported(module: nn.Module, inputs: Inputs, folder: Path) -> tuple[list[str], list[Any]]:
    import onnxruntime as ort

    spec = [InputSpec(name, str(item.dtype), ("batch", 3)) for name, item in inputs.items()]
    export_graph(module, spec, inputs, folder / "graph.onnx")
    names = [entry.name for entry in graph_spec(load_graph(folder / "graph.onnx"))[0]]
    session = ort.InferenceSession(folder / "graph.onnx", providers=["CPUExecutionProvider"])
    return names, session.run(None, inputs)


def nested(self: Any, *, b: Tensor, a: Tensor) -> Any:
    return Output(z=Result(a - b, None, a), y=Pair(a + b, {"k": a - b}))


def test_an_export_has_the_same_inputs_and_outputs(tmp_path: Path) -> None:
    """Also for an output that is an input, and for one that comes twice."""
    module = of(nested)
    names, found = exported(module, TWO, tmp_path)
    assert names == ["a", "b"]
    expected = [3.0, 5.0, 7.0, 3.0]
    assert [float(one[0, 0]) for one in found] == expected
    assert [float(one[0, 0]) for one in answer(module, TWO)] == expected


def test_a_module_is_as_it_was_after_it_was_flattened() -> None:
    module = of(nested)
    with flattened(module, TWO):
        assert isinstance(module(torch.ones(1), torch.ones(1)), tuple)
    assert "forward" not in vars(module)
    plain = of(ordered)
    with flattened(plain, TWO):
        assert "forward" not in vars(plain), "it is as exporters want it"


def one_keyword(self: Any, *, mask: Any = None, picture: Tensor) -> Tensor:
    return picture * 2


def one_of_several(self: Any, x: Tensor, *, scale: float = 2.0) -> Tensor:
    return x * scale


def one_list(self: Any, parts: list[Tensor]) -> Tensor:
    return torch.stack(parts) * 2


def any_number(self: Any, *tensors: Tensor) -> Tensor:
    return tensors[0] * 2


@pytest.mark.parametrize("forward", [one_keyword, one_of_several, one_list, any_number])
def test_one_batch_comes_where_forward_wants_it_without_a_name(forward: Any) -> None:
    assert call_one(of(forward), torch.ones(2, 3)).tolist() == [[2.0] * 3] * 2


class Encoding(nn.Module):
    """Attention with a mask, which torch runs as one operation wherever it can."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, norm_first=True)
        self.register_buffer("mask", torch.full((3, 3), float("-inf")).triu(1))

    def forward(self, a: Tensor) -> Any:
        return self.layer(a[..., None].expand(-1, -1, 4) * torch.arange(4), src_mask=self.mask)


def test_attention_with_a_mask_is_exported_in_its_parts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Encoding().eval()
    _, (found,) = exported(module, ONE, tmp_path)
    np.testing.assert_allclose(found, answer(module, ONE)[0].detach().numpy(), atol=1e-5)
    assert torch.backends.mha.get_fastpath_enabled()
