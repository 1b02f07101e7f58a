"""`check_pass` finds each way to break the contract, and says how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest

from perfsuite import Edits, Model, Unsupported, Workload
from perfsuite.testing import check_pass
from perfsuite.testing.samples import small_net, small_workload


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


class Repeated(Nothing, frozen=True):
    once: ClassVar[Any] = "yes"


class Choosing(Nothing, frozen=True):
    replaces: bool = False


class Regraphing(msgspec.Struct, frozen=True):
    version: ClassVar[int] = 1
    replaces: ClassVar[bool] = True

    def resolve(self, target: Any) -> str:
        return ""

    def apply(self, graph: Any, ctx: Any) -> Any:
        return graph


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


MEMORY: dict[str, Any] = {}  # of passes that cannot do without


@pytest.fixture(autouse=True)
def _forget() -> None:
    MEMORY.clear()


class Leaking(Nothing, frozen=True):
    """Gives back the module that it was fitted on."""

    def fit(self, model: Any, ctx: Any) -> Edits:
        MEMORY["model"] = model
        return Edits()

    def rebuild(self, model: Any, edits: Edits) -> Any:
        return MEMORY["model"]


class Caching(Nothing, frozen=True):
    """Gives all rebuilt modules the same weight."""

    def rebuild(self, model: Any, edits: Edits) -> Any:
        MEMORY.setdefault("weight", model[7].weight)
        model[7].weight = MEMORY["weight"]
        return model


class Remembering(Nothing, frozen=True):
    """Keeps a copy of what it found where another process does not see it."""

    def fit(self, model: Any, ctx: Any) -> Edits:
        MEMORY["bias"] = model[7].bias.detach() + 1
        return Edits()

    def rebuild(self, model: Any, edits: Edits) -> Any:
        model[7].bias.data.copy_(MEMORY["bias"])
        return model


class Guessing(Remembering, frozen=True):
    """Goes on without what it does not remember."""

    def rebuild(self, model: Any, edits: Edits) -> Any:
        return super().rebuild(model, edits) if MEMORY else model


class Wandering(Nothing, frozen=True):
    """Draws in fit."""

    def fit(self, model: Any, ctx: Any) -> Edits:
        import torch

        return Edits({}, {"bias": torch.randn(5).numpy()})


class Moody(Nothing, frozen=True):
    """Decides by what a clock of its own says."""

    def fit(self, model: Any, ctx: Any) -> Edits:
        MEMORY["calls"] = MEMORY.get("calls", 0) + 1
        return Edits({"ranks": [MEMORY["calls"]]}, {"bias": np.ones(5, np.float32)})


class Loose(Nothing, frozen=True):
    """Loads whatever there is."""

    def fit(self, model: Any, ctx: Any) -> Edits:
        return Edits({}, {name: t.numpy() + 1 for name, t in model.state_dict().items()})

    def rebuild(self, model: Any, edits: Edits) -> Any:
        import torch

        state = {name: torch.from_numpy(array) for name, array in edits.tensors.items()}
        model.load_state_dict(state, strict=False)
        return model


class Patching(Nothing, frozen=True):
    """Changes all ReLUs of the process."""

    def rebuild(self, model: Any, edits: Edits) -> Any:
        from torch import nn

        nn.ReLU.forward = lambda self, given: given.abs()  # type: ignore[method-assign]
        return super().rebuild(model, edits)


class Regretting(Nothing, frozen=True):
    """Refuses what it has fitted."""

    def rebuild(self, model: Any, edits: Edits) -> Any:
        raise Unsupported("no such layer")


class Untraceable(Nothing, frozen=True):
    """Appends what a graph takes for a constant."""

    def rebuild(self, model: Any, edits: Edits) -> Any:
        import torch
        from torch import nn

        class Numpy(nn.Module):
            def forward(self, logits: Any) -> Any:
                return torch.from_numpy(np.tanh(logits.detach().numpy()))

        return nn.Sequential(super().rebuild(model, edits), Numpy())


class Drowning(Nothing, frozen=True):
    def rebuild(self, model: Any, edits: Edits) -> Any:
        model[7].bias.data.fill_(float("nan"))
        return model


PASSES: dict[str, tuple[Any, str]] = {
    "not frozen": (Thawed(), "frozen=True"),
    "no JSON": (Unstorable(amount=object()), "do not survive JSON"),
    "JSON loses": (Unstorable(amount=(1, 2)), "JSON gives back"),
    "no version": (Versionless(), "version is None"),
    "version is a field": (Settable(), "annotate it as ClassVar"),
    "runtimes": (Listed(), "runtimes is"),
    "once": (Repeated(), "once is 'yes'; declare once: ClassVar.bool. = True"),
    "replaces is a field": (Choosing(), "replaces is a field; annotate it as ClassVar"),
    "replaces a graph": (Regraphing(), "replaces is for model passes"),
    "resolve": (Unresolved(), "must be a text"),
    "no methods": (Neither(), "either apply"),
    "tuples": (Tuples(), "use lists"),
    "objects": (Pickled(), "cannot be stored"),
    "draws": (Drawing(), "answer differently"),
    "cuts": (Cutting(), "outputs of shape"),
    "forgets": (Forgetting(), "must return the module, not NoneType"),
    "gives NaN": (Drowning(), "gives NaN or infinite values"),
    "leaks": (Leaking(), "is that of a module that was fitted"),
    "caches": (Caching(), "'7.weight' is that of another rebuilt module"),
    "remembers": (Remembering(), "a process that has not seen fit cannot rebuild .KeyError"),
    "guesses": (Guessing(), "not seen fit, the module has another 7.bias"),
    "draws in fit": (Wandering(), "fit gives another bias the second time"),
    "other data": (Moody(), "fit gives other data the second time"),
    "loads loosely": (Loose(), "without the tensor '4.weight' for whole"),
    "refuses late": (Regretting(), "refuse it in fit"),
    "does not export": (Untraceable(), "does not export as the model does"),
}


def test_a_good_pass_passes() -> None:
    check_pass(Nothing())


@pytest.mark.parametrize("case", PASSES)
def test_pass(case: str) -> None:
    pass_, message = PASSES[case]
    with pytest.raises(AssertionError, match=message):
        check_pass(pass_)


def test_classes_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import nn

    monkeypatch.setattr(nn.ReLU, "forward", nn.ReLU.forward)
    with pytest.raises(AssertionError, match="that the pass was never given answers otherwise"):
        check_pass(Patching())


class Choosy(Nothing, frozen=True):
    def fit(self, model: Any, ctx: Any) -> Edits:
        raise Unsupported("it has no attention")


def test_what_it_does_not_claim_to_support_comes_through() -> None:
    with pytest.raises(Unsupported, match="no attention"):
        check_pass(Choosy())


def double() -> Workload:
    """The small net, which gives its answers twice."""

    def build() -> Any:
        from torch import nn

        class Twice(nn.Sequential):
            def forward(self, image: Any) -> Any:
                logits = super().forward(image)
                return logits, -logits

        return Twice(*small_net()).eval()

    small = small_workload()
    return Workload("double", Model(build), small.task)


def test_a_given_workload_is_what_it_is_tried_on() -> None:
    check_pass(Nothing(), double())
    with pytest.raises(AssertionError, match=r"pass Cutting on double: .* gives outputs of shape"):
        check_pass(Cutting(), double())
    check_pass(Copying(), double())


def test_a_file_has_no_module(tmp_path: Path) -> None:
    workload = Workload("file", Model(onnx=tmp_path / "net.onnx"), small_workload().task)
    with pytest.raises(AssertionError, match="on file: a model pass needs a torch module"):
        check_pass(Nothing(), workload)


def test_torch_is_left_as_it_was() -> None:
    import torch

    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    check_pass(Nothing())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


class Identity(Neither, frozen=True):
    def apply(self, graph: Any, ctx: Any) -> Any:
        return graph


class Copying(Neither, frozen=True):
    def apply(self, graph: Any, ctx: Any) -> Any:
        import onnx

        copy = onnx.ModelProto()
        copy.CopyFrom(graph)
        return copy


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
