"""An ONNX file as a workload: timed and profiled as it is, judged when samples are given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perfsuite.domain.model import InputSpec, Model
from perfsuite.domain.task import Inputs, Predict, Task
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.export.onnx import graph_spec, load_graph
from perfsuite.workloads.onnx.samples import read_samples, written
from perfsuite.workloads.tasks.classification import top1_rows

BATCH = 50
_NUMBERS = "biuf"  # NumPy's kinds of types that inputs are made for: bool, integers, floats


@dataclass(frozen=True)
class Unlabelled(Task):
    """Random inputs that fit the graph: standard normal floats, zeros for everything else."""

    spec: tuple[InputSpec, ...]
    made_up = True

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return seeded inputs, with `batch` samples if the graph's batch is dynamic."""
        rng = np.random.default_rng(seed)
        return {item.name: self._array(item, batch, rng) for item in self.spec}

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Raise `Unsupported`, because the ranges of random inputs are not those of real data."""
        raise Unsupported(
            "an ONNX file alone has no calibration samples; give it a samples file in the suite: "
            'samples = { <its name> = "<file>.npz" }'
        )

    @staticmethod
    def _array(item: InputSpec, batch: int, rng: np.random.Generator) -> np.ndarray:
        shape = [side if isinstance(side, int) else batch for side in item.shape]
        if np.issubdtype(np.dtype(item.dtype), np.floating):
            return rng.standard_normal(shape).astype(item.dtype)
        return np.zeros(shape, item.dtype)


@dataclass(frozen=True)
class Labelled(Task):
    """Samples from an `.npz` file: for each input an array over samples, and `labels`.

    The samples are in a seeded random order, as the file may be sorted by class. The first half is
    for calibration, the second half for testing.
    """

    spec: tuple[InputSpec, ...]
    arrays: dict[str, np.ndarray]
    metric_name = "top1"

    @property
    def _half(self) -> int:
        return len(self.arrays["labels"]) // 2

    def _slice(self, chosen: np.ndarray | slice) -> Inputs:
        return {item.name: self.arrays[item.name][chosen] for item in self.spec}

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return `batch` test samples, chosen by `seed`."""
        count = len(self.arrays["labels"])
        return self._slice(np.random.default_rng(seed).integers(self._half, count, batch))

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Yield up to `samples` samples of the first half."""
        last = min(samples, self._half)
        for start in range(0, last, BATCH):
            yield self._slice(slice(start, min(start + BATCH, last)))

    def rows(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return (samples, 3) rows of the second half: 1 if right else 0, the answer, the label."""
        labels = self.arrays["labels"]
        last = len(labels) if samples is None else min(len(labels), self._half + samples)
        rows = []
        for start in range(self._half, last, BATCH):
            chosen = slice(start, min(start + BATCH, last))
            rows.append(top1_rows(predict(self._slice(chosen)), labels[chosen]))
        return np.concatenate(rows)

    def metric(self, rows: np.ndarray) -> float:
        """Return top-1: the share of right answers."""
        return float(rows[:, 0].mean())


def onnx_workload(path: Path, samples: Path | None = None) -> Workload:
    """Return the workload of an ONNX file, named after it.

    Dynamic dimensions other than the batch are set to those of `samples`. Raises `ConfigError` for
    a file that is no model, for inputs of a type that cannot be made, and for samples that do not
    fit.
    """
    try:
        spec, _ = graph_spec(load_graph(path))
        _check_inputs(spec)
        if samples is None:
            _check_fixed(spec)
    except ConfigError as error:
        told = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise ConfigError(told) from error
    task = Unlabelled(spec) if samples is None else Labelled(spec, read_samples(samples, spec))
    return Workload(path.stem, Model(onnx=path), task)


def _check_inputs(spec: tuple[InputSpec, ...]) -> None:
    if not spec:
        raise ConfigError("the graph has no inputs, so there is nothing to run it on; give it one")
    for item in spec:
        if np.dtype(item.dtype).kind not in _NUMBERS:
            raise ConfigError(
                f"input '{item.name}' takes {item.dtype} (strings, or numbers that NumPy lacks); "
                "export the model so that it takes plain integers or floats"
            )


def _check_fixed(spec: tuple[InputSpec, ...]) -> None:
    for item in spec:
        sides = [side for side in item.shape if isinstance(side, str) and side != "batch"]
        if sides:
            raise ConfigError(
                f"input '{item.name}' leaves {' and '.join(sides)} open: {written(item.shape)}; "
                "give samples with the shape that you use (in the suite: samples = "
                '{ <its name> = "<file>.npz" }), or export the model with fixed ones'
            )
