"""`check_pass` finds each way to break the contract, and says how to mend it."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest

from perfsuite import Edits
from perfsuite.testing import check_pass


class Nothing(msgspec.Struct, frozen=True):
    """A good model pass that does nothing."""

    amount: float = 0.5
    version: ClassVar[int] = 1
    runtimes: ClassVar[tuple[str, ...]] = ()

    def resolve(self, target: Any) -> str:
        return ""

    def fit(self, model: Any, ctx: Any) -> Edits:
        return Edits({"seen": len(ctx.train().inputs)}, {"bias": np.ones(5, np.float32)})

    def rebuild(self, model: Any, edits: Edits) -> Any:
        import torch

        model[7].bias.data.copy_(torch.from_numpy(edits.tensors["bias"]))
        return model


class Thawed(msgspec.Struct):
    version: ClassVar[int] = 1


class Unstorable(Nothing, frozen=True):
    amount: Any = None


class Versionless(Nothing, frozen=True):
    version: ClassVar[Any] = None


class Settable(msgspec.Struct, frozen=True):
    version: int = 1
    runtimes: ClassVar[tuple[str, ...]] = ()


class Listed(Nothing, frozen=True):
    runtimes: ClassVar[Any] = ["openvino"]


class Unresolved(Nothing, frozen=True):
    def resolve(self, target: Any) -> Any:
        return None


class Neither(msgspec.Struct, frozen=True):
    version: ClassVar[int] = 1
    runtimes: ClassVar[tuple[str, ...]] = ()

    def resolve(self, target: Any) -> str:
        return ""


class Tuples(Nothing, frozen=True):
    def fit(self, model: Any, ctx: Any) -> Edits:
        return Edits({"kept": (1, 2)})


class Pickled(Nothing, frozen=True):
    def fit(self, model: Any, ctx: Any) -> Edits:
        return Edits({"model": model})


class Drawing(Nothing, frozen=True):
    def rebuild(self, model: Any, edits: Edits) -> Any:
        model[7].bias.data.normal_()
        return model


class Cutting(Nothing, frozen=True):
    def rebuild(self, model: Any, edits: Edits) -> Any:
        return model[:-1]


class Forgetting(Nothing, frozen=True):
    def rebuild(self, model: Any, edits: Edits) -> Any:
        return None


PASSES: dict[str, tuple[Any, str]] = {
    "not frozen": (Thawed(), "frozen=True"),
    "no JSON": (Unstorable(amount=object()), "do not survive JSON"),
    "JSON loses": (Unstorable(amount=(1, 2)), "JSON gives back"),
    "no version": (Versionless(), "version is None"),
    "version is a field": (Settable(), "annotate it as ClassVar"),
    "runtimes": (Listed(), "runtimes is"),
    "resolve": (Unresolved(), "must be a text"),
    "no methods": (Neither(), "either apply"),
    "tuples": (Tuples(), "use lists"),
    "objects": (Pickled(), "cannot be stored"),
    "draws": (Drawing(), "answer differently"),
    "cuts": (Cutting(), "outputs of shape"),
    "forgets": (Forgetting(), "must return the module, not NoneType"),
}


def test_a_good_pass_passes() -> None:
    check_pass(Nothing())


@pytest.mark.parametrize("case", PASSES)
def test_pass(case: str) -> None:
    pass_, message = PASSES[case]
    with pytest.raises(AssertionError, match=message):
        check_pass(pass_)


class Identity(Neither, frozen=True):
    def apply(self, graph: Any, ctx: Any) -> Any:
        return graph


class Renaming(Neither, frozen=True):
    def apply(self, graph: Any, ctx: Any) -> Any:
        import onnx

        copy = onnx.ModelProto()
        copy.CopyFrom(graph)
        copy.graph.output[0].name = "nobody gives this"
        return copy


class Wavering(Neither, frozen=True):
    def apply(self, graph: Any, ctx: Any) -> Any:
        import onnx

        copy = onnx.ModelProto()
        copy.CopyFrom(graph)
        copy.doc_string = str(np.random.default_rng().random())
        return copy


@pytest.mark.parametrize(
    ("pass_", "message"),
    [
        (Identity(), "work on a copy"),
        (Renaming(), "invalid graph"),
        (Wavering(), "other bytes the second time"),
    ],
    ids=["same object", "invalid", "not deterministic"],
)
def test_graph_pass(pass_: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_pass(pass_)
