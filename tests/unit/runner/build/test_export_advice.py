"""What is said of a model that does not export: the reason that is its own, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
nn = torch.nn

from odd_nets import Pictures, Two  # noqa: E402

from perfsuite.domain.model import Model  # noqa: E402
from perfsuite.domain.task import Inputs  # noqa: E402
from perfsuite.domain.workload import Workload  # noqa: E402
from perfsuite.errors import BuildError, PerfsuiteError, Unsupported  # noqa: E402
from perfsuite.export.onnx import _first_line  # noqa: E402
from perfsuite.runner.build.export import Exporter  # noqa: E402
from perfsuite.runner.build.reference import module_outputs  # noqa: E402


def refusal(module: nn.Module, folder: Path) -> PerfsuiteError:
    task = Pictures()
    work = Workload("net", Model(lambda: module), task)
    with pytest.raises(PerfsuiteError) as caught:
        Exporter(work, lambda: module.eval(), task.inputs, lambda: work.model.stages)(folder)
    return caught.value


class Fixed(Two):
    def forward(self, x: Any) -> Any:
        return self.scores(x.reshape(1, 3, 16, 16))


class Chance(Two):
    def forward(self, x: Any) -> Any:
        return self.scores(x + torch.rand_like(x))


class Baked(Two):
    """Takes a list of pictures and answers one, whose length its graph cannot leave open."""

    def forward(self, images: list[Any]) -> Any:  # type: ignore[override]
        scores = self.scores(torch.stack([image * 2 for image in images]))
        return [{"scores": one, "best": one.argmax()} for one in scores]


def test_a_batch_that_forward_fixes_is_named(tmp_path: Path) -> None:
    assert str(refusal(Fixed(), tmp_path)).endswith("say so: Model(build, batch=1)")


def test_a_batch_that_the_graph_fixes_is_named(tmp_path: Path) -> None:
    words = str(refusal(Baked(), tmp_path))
    assert words.endswith("such as Model(build, batch=1)")
    assert not ({"Stage", "Task.agreement"} & set(words.split()))


def test_chance_is_not_the_exports_fault(tmp_path: Path) -> None:
    words = str(refusal(Chance(), tmp_path))
    assert words.startswith("Chance answers by chance")
    assert not ({"export", "Stage"} & set(words.split()))


class Complex(Two):
    def forward(self, x: Any) -> Any:
        return self.scores(x), torch.fft.rfft2(x)


class Cast(Two):
    def forward(self, x: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return self.scores(x).float()


class Unsettled(Two):
    """Its batch normalization never leaves training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def train(self, mode: bool = True) -> Any:
        super().train(mode)
        self.norm.train()
        return self

    def forward(self, x: Any) -> Any:
        return self.scores(self.norm(x * 3))


def test_a_part_that_stays_in_training_mode_is_named(tmp_path: Path) -> None:
    words = str(refusal(Unsettled(), tmp_path))
    assert "'norm' is still in training mode after eval()" in words
    assert "Stage" not in words


class Squeezing(Two):
    def forward(self, x: Any) -> Any:
        return self.h(nn.functional.adaptive_avg_pool2d(self.a(x), 1).squeeze())


class Silent(Two):
    def forward(self, x: Any) -> Any:
        self.scores(x)


class Growing(Two):
    """Its second call answers otherwise than its first, and all later ones as the second."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, x: Any) -> Any:
        self.seen.append(len(x))
        return self.scores(x) + (len(self.seen) > 1)


class Scripted(Two):
    def __init__(self) -> None:
        super().__init__()
        self.a: Any = torch.jit.script(self.a)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Scripted, "'a' is TorchScript, of which exporters follow no calls from Python"),
        (Squeezing, "a squeeze() takes the batch's axis too"),
        (Silent, "Silent: its forward answers no tensor"),
        (Growing, "its forward changes 'seen', which the next call reads"),
    ],
)
def test_other_causes_are_named(kind: type[nn.Module], words: str, tmp_path: Path) -> None:
    said = str(refusal(kind(), tmp_path))
    assert words in said
    assert "Stage" not in said and "agreement" not in said


def test_complex_answers_are_named(tmp_path: Path) -> None:
    words = str(refusal(Complex(), tmp_path))
    assert words.startswith("Complex: its output 1 is complex64")
    assert "torch.view_as_real" in words


def test_a_type_that_forward_computes_in_is_named(tmp_path: Path) -> None:
    words = str(refusal(Cast(), tmp_path))
    assert words.startswith("Cast: its forward computes in bfloat16")
    assert "Stage" not in words.partition(";")[0]


@pytest.mark.filterwarnings("ignore")
def test_layers_that_torch_has_quantized_are_named(tmp_path: Path) -> None:
    net = torch.ao.quantization.quantize_dynamic(Two().eval(), {nn.Linear}, dtype=torch.qint8)
    error = refusal(net, tmp_path)
    assert isinstance(error, Unsupported)
    assert "torch has quantized it already ('h'" in str(error)


def test_exporters_colours_and_steps_are_left_out() -> None:
    class ConversionError(Exception):
        pass

    try:
        raise ConversionError("\x1b[96mstep 2/3\x1b[0m") from ValueError(
            "\x1b[31mno such op\x1b[0m"
        )
    except ConversionError as error:
        assert _first_line(error) == "ValueError: no such op"


class Listed(Two):
    def forward(self, images: Any) -> Any:
        assert isinstance(images, list)
        return self.scores(torch.stack(images))


class Sixteen(Two):
    pass


def given() -> Inputs:
    return Pictures().inputs(2, 0)


def test_what_forward_takes_is_told() -> None:
    with pytest.raises(BuildError, match=r"annotation: forward\(self, images: list\[torch\.Tensor"):
        module_outputs(Listed(), given())
    with pytest.raises(BuildError, match=r"weights are float16 and inputs\(\) gives float32"):
        module_outputs(Sixteen().half(), given())
    with pytest.raises(BuildError) as caught:
        module_outputs(Two(), {"x": np.ones((1, 4, 16, 16), np.float32)})
    assert "annotation" not in str(caught.value)
