"""Recipes of several passes on a tiny net: what is built answers as what the passes made of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prune_nets import by_macs

from perfsuite.config.loading import load_suite
from perfsuite.domain.record import Line
from perfsuite.errors import BuildError, ConfigError, Unsupported
from perfsuite.measure.macs import count_module
from perfsuite.runner.build import artifacts, variants
from perfsuite.runner.build.reference import module_outputs
from perfsuite.runner.build.steps import steps_of
from perfsuite.runner.build.variants import VariantBuilder
from perfsuite.runner.job import first_job
from perfsuite.runner.jobs.prepare import prepare
from perfsuite.store.cache import Cache
from perfsuite.workloads.table import load_workload

pytest.importorskip("torch")
from torch import nn

NET = """
from collections import OrderedDict
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np
import torch
from torch import nn

from perfsuite import Edits, Model, Task, TrainingSet, Workload


class Noise(Task):
    def inputs(self, batch, seed):
        rng = np.random.default_rng([seed, batch])
        return {"x": rng.normal(size=(batch, 3, 12, 12)).astype(np.float32)}

    def calibration(self, samples):
        yield self.inputs(samples, 1000)

    def train(self):
        images = self.inputs(16, 2000)["x"]
        return TrainingSet(images, np.arange(16) % 5, lambda batch, rng: batch)

    def fingerprint(self):
        return "noise"


def seeded(width):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            OrderedDict(
                stem=nn.Conv2d(3, width, 3, padding=1),
                norm=nn.BatchNorm2d(width),
                relu=nn.ReLU(),
                wide=nn.Conv2d(width, 2 * width, 3, padding=1),
                act=nn.ReLU(),
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                scores=nn.Linear(2 * width, 5),
            )
        ).eval()


def build():
    return seeded(32)


def small():
    return seeded(16)


def tiny():
    return seeded(8)


net = Workload("net", Model(build), Noise())


class Swap(msgspec.Struct, frozen=True):
    width: int = 16
    version: ClassVar[int] = 1
    replaces: ClassVar[bool] = True

    def resolve(self, target):
        return ""

    def fit(self, model, ctx):
        return Edits({"width": self.width})

    def rebuild(self, model, edits):
        return seeded(edits.data["width"])


class Asking(msgspec.Struct, frozen=True):
    version: ClassVar[int] = 1

    def resolve(self, target):
        return ""

    def fit(self, model, ctx):
        told = ctx.original and ctx.original().stem.out_channels
        with Path(__file__).with_name("asked").open("a") as file:
            file.write(f"{model.stem.out_channels} of {told}\\n")
        return Edits()

    def rebuild(self, model, edits):
        return model
"""
SUITE = """
workloads = ["net.py:net"]
runtimes  = ["pytorch", "onnxruntime", "openvino"]
threads   = 1

[[recipes]]
name   = "r"
passes = [%s]
"""
DISTILL = '{ use = "distill", student = "net.py:small", untrained = true }'
SWAP, ASKING = '{ use = "net.py:Swap" }', '{ use = "net.py:Asking" }'
PRUNE = '{ use = "prune", macs = 0.5, scope = "uniform", importance = "l2" }'
LOWRANK = '{ use = "lowrank", energy = 0.5, runtime = "onnxruntime" }'
INT8 = '{ use = "int8", calibration_samples = 16 }'
ENGINES = ("pytorch", "onnxruntime", "openvino")


class Prepared:
    """A prepared cell: its line, its builder, and what its artifact answers."""

    def __init__(self, folder: Path, runtime: str, passes: Sequence[str]) -> None:
        (folder / "suite.toml").write_text(SUITE % ", ".join(passes))
        suite, (cell,), _ = load_suite(folder / "suite.toml", [f"net/r/{runtime}/*"])
        job = first_job(suite, cell)
        engine = artifacts.load_runtime(job.runtime)
        workload = load_workload(job.reference)
        self.line: Line = prepare(job)
        self.builder = VariantBuilder(workload, job, steps_of(job, engine), engine, Cache())
        self.module = self.builder.rebuild()
        self.layers = {
            path: part
            for path, part in self.module.named_modules()
            if isinstance(part, nn.Conv2d | nn.Linear)
        }
        found = Cache().get("artifact", self.line.artifact)
        assert found is not None
        manifest = artifacts.read_manifest(found)
        options = artifacts.options(job, self.builder.rebuild)
        self.inputs = [self.builder.inputs(1, seed) for seed in range(20, 24)]
        with artifacts.open_session(engine, found, manifest, options) as session:
            self.answers = np.concatenate([session.run(one)[0] for one in self.inputs])

    @property
    def expected(self) -> np.ndarray:
        """Return what the rebuilt module answers, in eager mode."""
        return np.concatenate([module_outputs(self.module, one)[0] for one in self.inputs])

    def measured(self, name: str) -> float:
        (found,) = [one.samples[0] for one in self.line.measurements if one.metric == name]
        return found

    def check(self) -> None:
        """Raise unless the answers and the facts are those of the net that passes have made."""
        assert self.line.status == "ok", self.line.error
        counted = count_module(self.module, self.builder.inputs(1, 0))
        whole = count_module(self.builder.build(), self.builder.inputs(1, 0))
        assert self.measured("macs") == counted.macs < whole.macs
        # Rounding to 8 bits costs a little, an engine's other order of sums next to nothing.
        quantized = any(step.is_graph for step in self.builder.steps)
        share = np.abs(self.answers - self.expected).max() / np.abs(self.expected).max()
        assert share < (0.1 if quantized else 1e-4)
        for one in self.line.widths:
            after = self.layers.get(one.layer) or self.layers.get(f"{one.layer}.restore")
            assert after is not None
            assert one.after == after.weight.shape[0]
            assert not one.left or (one.after == one.before and not one.ranks)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a project whose cache the tests share; its clock counts multiply-accumulates."""

    def clock(*_: object) -> Any:
        return lambda candidates, cold_bytes=0: tuple(by_macs(*one) for one in candidates)

    made = tmp_path_factory.mktemp("composed")
    (made / "net.py").write_text(NET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERFSUITE_HOME", str(made / "home"))
        patch.setattr(variants, "Clock", clock)
        yield made


@pytest.mark.parametrize("runtime", ENGINES)
def test_pruned_and_then_factorized(folder: Path, runtime: str) -> None:
    made = Prepared(folder, runtime, (PRUNE, LOWRANK))
    made.check()
    told = {one.layer: one for one in made.line.widths}
    assert told["wide"].ranks and told["wide"].after < told["wide"].before == 64
    # Pruning left the scores alone, and says why; that no longer holds once they are factorized.
    assert "scores" in made.builder._applied()[0].edits.data["left"]
    assert told["scores"].ranks and not told["scores"].left


@pytest.mark.parametrize("runtime", ENGINES)
def test_factorized_and_then_pruned(folder: Path, runtime: str) -> None:
    made = Prepared(folder, runtime, (LOWRANK, PRUNE))
    made.check()
    told = {one.layer: one for one in made.line.widths}
    before = (
        VariantBuilder(
            made.builder.workload,
            made.builder.job,
            made.builder.steps[:1],
            made.builder.runtime,
            made.builder.cache,
        )
        .changes()
        .widths
    )
    (ranks,) = [one.ranks for one in before if one.layer == "wide"]
    assert all(now < then for now, then in zip(told["wide"].ranks, ranks, strict=True))
    assert told["wide"].after < 64


@pytest.mark.parametrize("runtime", ENGINES[1:])
@pytest.mark.parametrize("passes", [(PRUNE, INT8), (DISTILL, PRUNE, INT8)])
def test_rounded_in_the_end(folder: Path, runtime: str, passes: tuple[str, ...]) -> None:
    made = Prepared(folder, runtime, passes)
    made.check()
    # What is pruned is the net in the model's place, and its widths are told as those of before.
    assert {one.layer: one.before for one in made.line.widths} == (
        {"stem": 32, "wide": 64, "scores": 5}
        if passes[0] == PRUNE
        else {"stem": 16, "wide": 32, "scores": 5}
    )


def test_distilled_and_then_factorized(folder: Path) -> None:
    made = Prepared(folder, "pytorch", (DISTILL, LOWRANK))
    made.check()
    told = {one.layer: one for one in made.line.widths}
    assert told["wide"].before == 32 and told["wide"].ranks
    assert "untrained" in made.line.labels
    assert made.line.replaced is not None and made.line.replaced.by == "small"


def test_a_student_too_narrow_for_what_is_rounded_to_says_so(folder: Path) -> None:
    rounded = PRUNE.replace("}", ", round_to = 16 }")
    with pytest.raises(BuildError) as error:
        Prepared(folder, "openvino", (DISTILL.replace("small", "tiny"), rounded, INT8))
    assert str(error.value) == (
        "after distill: prune: what can be pruned brings the cost down to 1.000 of the whole, and "
        "0.500 is asked for, while round_to = 16 keeps multiples of so many channels, of layers "
        "that have 8 to 16: a smaller round_to leaves more to choose from; ask for less, or let "
        "more layers be pruned"
    )


def test_what_is_refused_of_a_net_that_passes_have_made_says_so(folder: Path) -> None:
    named = PRUNE.replace("}", ', layers = ["wide"] }')
    with pytest.raises(Unsupported, match=r"^after lowrank: prune: wide .*those in it are 'wide"):
        Prepared(folder, "pytorch", (LOWRANK, named))
    with pytest.raises(ConfigError, match=r"^after Asking, lowrank: prune: layers: the model has"):
        Prepared(folder, "pytorch", (ASKING, LOWRANK, named.replace('"wide"', '"wider"')))
    with pytest.raises(ConfigError, match=r"^prune: layers: the model has no module 'wider'"):
        Prepared(folder, "pytorch", (named.replace('"wide"', '"wider"'),))


def test_another_net_alone_has_no_layers_to_tell_of(folder: Path) -> None:
    made = Prepared(folder, "pytorch", (SWAP,))
    made.check()
    assert made.line.widths == ()


def test_a_pass_finds_the_workloads_own_net_behind_those_before_it(folder: Path) -> None:
    Prepared(folder, "pytorch", (SWAP, ASKING, ASKING))
    Prepared(folder, "pytorch", (ASKING,))
    asked = (folder / "asked").read_text().splitlines()
    assert asked.count("16 of 32") == 2
    assert set(asked) == {"16 of 32", "32 of None"}
