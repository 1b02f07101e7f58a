"""Models in pieces: stages on an engine, the control flow between them in PyTorch."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfsuite.domain.model import InputSpec, Stage
from perfsuite.domain.record import EvidenceItem
from perfsuite.domain.runtime import Manifest, SessionOptions
from perfsuite.errors import BuildError, Unsupported
from perfsuite.export.parity import parity
from perfsuite.export.pieces import export_pieces, flatten, piece_paths, read_pieces, restore
from perfsuite.runtimes.onnxruntime.runtime import OnnxRuntime
from perfsuite.runtimes.openvino.runtime import OpenVino
from perfsuite.runtimes.split.profile import Watch
from perfsuite.runtimes.split.session import build_split, is_split, open_split

torch = pytest.importorskip("torch")
ENGINES = {"onnxruntime": OnnxRuntime, "openvino": OpenVino}
STAGES = (
    Stage("body", ("body",)),
    Stage("heads", ("heads.one", "heads.other")),
    Stage("unused", ("unused",)),
    Stage("glue", ("heads", "chosen")),
)
SPEC = (InputSpec("images", "float32", (1, 3, 8, 8)),)


def net() -> Any:
    """Return a net that chooses regions by their values: it exports in parts alone."""
    from torch import nn

    class Body(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, images: Any, *, names: tuple[str, str]) -> dict[str, Any]:
            features = self.conv(images).relu()
            return {names[0]: features, names[1]: features[..., ::2, ::2]}

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = Body()
            self.heads = nn.ModuleDict({"one": nn.Linear(4, 5), "other": nn.Linear(4, 2)})
            self.unused = nn.Linear(2, 2)

        def chosen(self, features: Any) -> Any:
            regions = features.flatten(2)[0].T
            return regions[regions[:, 0] > regions[:, 0].mean()]

        def forward(self, images: Any) -> tuple[Any, Any]:
            levels = self.body(images, names=("fine", "coarse"))
            sums = []
            for features in levels.values():
                regions = self.chosen(features)
                if len(regions) % 2:  # no graph can follow this
                    regions = regions[1:]
                sums.append(self.heads["one"](regions).sum(0))
            return torch.stack(sums), self.heads["other"](levels["fine"].mean((2, 3)))

    torch.manual_seed(0)
    return Net().eval()


def images(seed: int) -> dict[str, np.ndarray]:
    noise = np.random.default_rng(seed).normal(size=(1, 3, 8, 8))
    return {"images": noise.astype(np.float32)}


def manifest(runtime: str) -> Manifest:
    return Manifest(runtime, "cpu", "fp32", 1, SPEC, ("sums", "means"), False, False)


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pieces")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # one would say that the dynamo exporter could not
        examples = [images(seed) for seed in range(3)]
        export_pieces(net(), piece_paths(net(), STAGES), examples, folder, "it chooses")
    return folder


def test_methods_and_modules_around_other_stages_are_no_pieces() -> None:
    assert piece_paths(net(), STAGES) == ("body", "heads.one", "heads.other", "unused")


def test_pieces_are_plain_data_with_dynamic_sides(pieces: Path) -> None:
    found = read_pieces(pieces)
    assert found is not None
    assert [piece.path for piece in found.pieces] == ["body", "heads.one", "heads.other"]
    assert found.left == {"unused": "it is not called as a module"}
    body, one, other = found.pieces
    assert body.inputs[0].shape == (1, 3, 8, 8)
    assert one.inputs[0].shape == ("side0", 4)
    assert other.inputs[0].shape == (1, 4)
    assert body.gives == ["dict", {"fine": ["tensor"], "coarse": ["tensor"]}]
    named = {"names": ["tuple", [["value", "fine"], ["value", "coarse"]]]}
    assert body.takes == ["list", [["list", [["tensor"]]], ["dict", named]]]


def test_structures_are_restored() -> None:
    value = {"a": [torch.zeros(1), (torch.ones(2), 3, "x", None)], "b": torch.full((1,), 2.0)}
    structure, tensors = flatten(value)
    again = restore(structure, iter(tensors))
    assert [tensor.sum().item() for tensor in tensors] == [0, 2, 2]
    assert again["a"][1][1:] == (3, "x", None)
    assert again["a"][1][0] is value["a"][1][0]
    with pytest.raises(Unsupported, match="a set cannot pass"):
        flatten([{1}])
    own = type("Output", (OrderedDict,), {})  # with attributes, as Hugging Face's
    with pytest.raises(Unsupported, match="a Output cannot pass"):
        flatten(own(scores=torch.ones(1)))


@pytest.mark.parametrize("name", ENGINES)
def test_a_split_model_answers_as_the_whole_one(name: str, pieces: Path, tmp_path: Path) -> None:
    runtime = ENGINES[name]()
    build_split(runtime, pieces, manifest(name), tmp_path)
    assert is_split(tmp_path)
    module = net()
    spans = ("body", "heads.one", "heads.other", "unused", "heads", "chosen")
    options = SessionOptions(1, 1, inspect=True, rebuild=net, spans=spans)
    with open_split(runtime, tmp_path, manifest(name), options) as session:
        for seed in (0, 5):
            with torch.no_grad():
                whole = module(torch.from_numpy(images(seed)["images"]))
            expected = [value.numpy() for value in whole]
            parity(expected, session.run(images(seed)), ("sums", "means"), "fp32")
        profile = session.profile([images(0), images(1)], 4)
        evidence = session.evidence()
    ran = {"body": name, "chosen": "pytorch", "heads.one": name, "heads.other": name}
    assert {kernel.name: kernel.kind for kernel in profile.kernels} == ran
    for kernel in profile.kernels:
        assert len(kernel.times_s) == len(kernel.starts_s) == len(profile.walls_s) == 4
        assert all(taken > 0 for taken in kernel.times_s)
        assert kernel.origins == (f"{kernel.name}/{kernel.kind}",)
    assert profile.kernels[0].macs == 8 * 8 * 4 * 3 * 3 * 3
    assert profile.kernels[-1].macs == 4 * 2
    for call, wall in enumerate(profile.walls_s):
        assert sum(kernel.times_s[call] for kernel in profile.kernels) < wall
    assert EvidenceItem("reported", "execution", "split", "it chooses") in evidence.items
    where = {item.name: item.value for item in evidence.items if item.about == "stage"}
    assert where == {
        "body": name,
        "heads.one": name,
        "heads.other": name,
        "unused": "pytorch (it is not called as a module)",
    }


def test_parts_inside_of_others_are_not_counted_twice() -> None:
    times = iter([0.0, 1.0, 3.0, 4.0, 5.0, 9.0])
    watch = Watch(lambda: next(times))
    with watch.part("outer"):
        with watch.part("inner"):
            pass
        with watch.part("inner"):
            pass
    assert watch.spans == [("inner", 1.0, 2.0), ("inner", 4.0, 1.0), ("outer", 0.0, 6.0)]


def test_what_an_engine_refuses_stays_in_pytorch(pieces: Path, tmp_path: Path) -> None:
    class Picky(OnnxRuntime):
        def build(self, variant: Any, manifest: Manifest, folder: Path) -> None:
            if manifest.inputs[0].shape != (1, 3, 8, 8):
                raise Unsupported("Picky has no operator Gemm")
            super().build(variant, manifest, folder)

    build_split(Picky(), pieces, manifest("onnxruntime"), tmp_path)
    found = read_pieces(tmp_path)
    assert found is not None
    assert [piece.path for piece in found.pieces] == ["body"]
    assert found.left["heads.one"] == "Picky has no operator Gemm"
    assert not (tmp_path / "piece1").exists()


def test_an_engine_that_takes_no_piece_says_why(pieces: Path, tmp_path: Path) -> None:
    class None_(OnnxRuntime):  # noqa: N801
        def build(self, variant: Any, manifest: Manifest, folder: Path) -> None:
            raise Unsupported("there is no operator at all")

    with pytest.raises(Unsupported, match="there is no operator at all"):
        build_split(None_(), pieces, manifest("onnxruntime"), tmp_path)


def test_what_cannot_pass_stays_in_pytorch_with_a_reason(tmp_path: Path) -> None:
    from torch import nn

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fine, self.ranks, self.low = nn.Linear(4, 4), nn.Linear(4, 4), nn.Identity()
            self.filled, self.given = Filled(), nn.Identity()
            self.table = nn.Parameter(torch.ones(4))

        def forward(self, x: Any) -> Any:
            x = self.ranks(self.ranks(self.fine(x))[None])[0]
            return self.filled(self.low(x.bfloat16()).float(), float("-inf")) + self.given(
                self.table
            )

    class Filled(nn.Module):
        def forward(self, x: Any, value: float) -> Any:
            return x.masked_fill(x > 1, value).exp()

    paths = ["fine", "ranks", "low", "filled", "given"]
    examples = [{"x": np.ones((n, 4), np.float32)} for n in (2, 3)]
    found = export_pieces(Odd().eval(), paths, examples, tmp_path, "")
    assert [piece.path for piece in found.pieces] == ["fine", "given"]
    assert found.left == {
        "ranks": "it is called with tensors of different numbers of dimensions",
        "low": "a tensor of torch.bfloat16 cannot pass between PyTorch and an engine",
        "filled": "the number -inf cannot pass between PyTorch and an engine",
    }


def test_glue_that_takes_a_stage_apart_is_told(tmp_path: Path) -> None:
    from torch import nn

    class Sharing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv2d(3, 2, 3)

        def forward(self, images: Any) -> Any:
            return self.body(images) * self.body.weight.sum()

    folder = tmp_path / "pieces"
    folder.mkdir()
    export_pieces(Sharing().eval(), ["body"], [images(0)], folder, "")
    built = tmp_path / "built"
    built.mkdir()
    runtime = OnnxRuntime()
    build_split(runtime, folder, manifest("onnxruntime"), built)
    options = SessionOptions(1, 1, rebuild=Sharing)
    with (
        open_split(runtime, built, manifest("onnxruntime"), options) as session,
        pytest.raises(BuildError, match=r"its code can call the modules of its stages \(body\)"),
    ):
        session.run(images(0))


def test_a_model_without_pieces_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"no stage that exports: unused: it is not called"):
        export_pieces(net(), ["unused"], [images(0)], tmp_path, "")
