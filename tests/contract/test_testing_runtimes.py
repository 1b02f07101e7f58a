"""`check_runtime` finds each way to break the contract, and says how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfsuite import Evidence
from perfsuite.domain.profile import Kernel, Profile
from perfsuite.errors import SchemaError, Unsupported
from perfsuite.testing import check_runtime


class Session:
    clock = None

    def __init__(self, module: Any) -> None:
        self.module, self.closed = module, 0

    def run(self, inputs: Any) -> Any:
        import torch

        with torch.inference_mode():
            return [self.module(torch.from_numpy(inputs["image"])).numpy()]

    def evidence(self) -> Evidence:
        return Evidence((), {"conv fp32": 2})

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed += 1


class Eager:
    """A good engine: eager PyTorch, its module rebuilt."""

    name: Any = "eager"
    takes = "module"
    devices: Any = ("cpu",)
    precisions: Any = ("fp32",)
    session = Session

    def probe(self) -> Any:
        return {"torch": "2"}

    def build(self, variant: Any, manifest: Any, folder: Path) -> None:
        (folder / "here").touch()

    def open(self, folder: Path, manifest: Any, options: Any) -> Any:
        if not (folder / "here").is_file():
            raise SchemaError(f"{folder / 'here'}: missing")
        return self.session(options.rebuild())


class Reusing(Session):
    kept = np.zeros((4, 5), np.float32)

    def run(self, inputs: Any) -> Any:
        self.kept[: len(inputs["image"])] = super().run(inputs)[0]
        return [self.kept[: len(inputs["image"])]]


class Wrong(Session):
    def run(self, inputs: Any) -> Any:
        return [super().run(inputs)[0] * 1.01]


class Silent(Session):
    def evidence(self) -> Evidence:
        return Evidence()


class Lowered(Session):
    def evidence(self) -> Evidence:
        return Evidence((), {"conv bf16": 2})


class Once(Session):
    def __exit__(self, *_: object) -> None:
        super().__exit__()
        if self.closed > 1:
            raise RuntimeError("closed already")


class Tensors(Session):
    def run(self, inputs: Any) -> Any:
        import torch

        return [torch.zeros(1)]


class Profiled(Session):
    """Three calls of 1 s, three kernels of 0.2 s each."""

    walls_s: Any = (1.0, 1.0, 1.0)
    names: Any = ("0/conv", "4/conv", "7/linear")
    times_s: Any = (0.2, 0.2, 0.2)
    owned = True

    def profile(self, inputs: Any, calls: int) -> Profile:
        kernels = [
            Kernel(name, "conv", self.times_s, origins=(name,) if self.owned else ())
            for name in self.names
        ]
        return Profile(self.walls_s[:calls], tuple(kernels))


class Mute(Session):
    def profile(self, inputs: Any, calls: int) -> Profile:
        raise Unsupported("it cannot tell")


def profiled(**fields: Any) -> Any:
    return engine(session=type("Session", (Profiled,), fields))


def engine(**fields: Any) -> Any:
    return type("Engine", (Eager,), fields)()


class Careless(Eager):
    def open(self, folder: Path, manifest: Any, options: Any) -> Any:
        return Session(options.rebuild())


class Crashing(Eager):
    def open(self, folder: Path, manifest: Any, options: Any) -> Any:
        (folder / "here").read_bytes()
        return Session(options.rebuild())


class Remembering(Eager):
    def build(self, variant: Any, manifest: Any, folder: Path) -> None:
        super().build(variant, manifest, folder)
        self.folder = folder

    def open(self, folder: Path, manifest: Any, options: Any) -> Any:
        return super().open(self.folder, manifest, options)


RUNTIMES: dict[str, tuple[Any, str]] = {
    "name": (engine(name="my engine"), "no spaces"),
    "takes": (engine(takes="pictures"), "must be one of module, graph, nothing"),
    "devices": (engine(devices="cpu"), "must be a tuple of names"),
    "identity": (engine(identify=lambda *_: "one"), "must give a perfsuite.DeviceIdentity"),
    "quantized": (engine(quantized_graphs=lambda *_: 8), "must give a perfsuite.QuantizedGraphs"),
    "probe": (engine(probe=lambda _: None), "library name to version"),
    "tensors": (engine(session=Tensors), "list of NumPy arrays"),
    "overwrites": (engine(session=Reusing), "return copies"),
    "answers": (engine(session=Wrong), "answers differently from eager PyTorch: output 'logits'"),
    "no evidence": (engine(session=Silent), "must count what ran"),
    "lower precision": (engine(session=Lowered), "not what was asked for"),
    "closes once": (engine(session=Once), "the second time must do nothing"),
    "wall times": (profiled(walls_s=(1.0, 1.0)), "give one a call"),
    "twice": (profiled(names=("a", "b", "a")), "two kernels have one name"),
    "misaligned": (profiled(times_s=(0.2, 0.2)), "aligned with walls_s"),
    "nested": (profiled(times_s=(0.5, 0.5, 0.5)), "must be exclusive"),
    "nobody's": (profiled(owned=False), "0 kernels have origins"),
    "opens nothing": (Careless(), "an empty folder opens"),
    "wrong error": (Crashing(), "fails with FileNotFoundError"),
}


@pytest.mark.parametrize("session", [Session, Profiled, Mute])
def test_a_good_runtime_passes(session: Any) -> None:
    check_runtime(engine(session=session))


@pytest.mark.parametrize("case", RUNTIMES)
def test_runtime(case: str) -> None:
    runtime, message = RUNTIMES[case]
    with pytest.raises(AssertionError, match=message):
        check_runtime(runtime)


def test_an_artifact_must_not_depend_on_where_it_was_built() -> None:
    with pytest.raises(SchemaError, match="missing"):
        check_runtime(Remembering())
