"""An ONNX file as a workload: timed and profiled as it is, judged when samples are given."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perfsuite.domain.model import InputSpec, Model
from perfsuite.domain.task import Inputs, Predict, Task
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.export.onnx import graph_spec, load_graph

BATCH = 50


@dataclass(frozen=True)
class Unlabelled(Task):
    """Random inputs that fit the graph: standard normal floats, zeros for everything else."""

    spec: tuple[InputSpec, ...]

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return seeded inputs; a dimension the graph leaves open, but for the batch, is 1."""
        rng = np.random.default_rng(seed)
        return {item.name: self._array(item, batch, rng) for item in self.spec}

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Raise `Unsupported`: random inputs would calibrate for data that never come."""
        raise Unsupported(
            "an ONNX file alone has no calibration samples; give it a samples file in the suite: "
            'samples = { <its name> = "<file>.npz" }'
        )

    @staticmethod
    def _array(item: InputSpec, batch: int, rng: np.random.Generator) -> np.ndarray:
        named = {"batch": batch}
        shape = [side if isinstance(side, int) else named.get(side, 1) for side in item.shape]
        if np.issubdtype(np.dtype(item.dtype), np.floating):
            return rng.standard_normal(shape).astype(item.dtype)
        return np.zeros(shape, item.dtype)


@dataclass(frozen=True)
class Labelled(Task):
    """Samples from an `.npz` file: one array an input, first axis the samples, and `labels`.

    In a seeded order, so that a file sorted by class does no harm, the first half calibrates and
    the second half tests.
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
            answers, truth = predict(self._slice(chosen))[0].argmax(axis=1), labels[chosen]
            rows.append(np.stack([answers == truth, answers, truth], axis=1).astype(np.float64))
        return np.concatenate(rows)

    def metric(self, rows: np.ndarray) -> float:
        """Return top-1: the share of right answers."""
        return float(rows[:, 0].mean())


def onnx_workload(path: Path, samples: Path | None = None) -> Workload:
    """Return the workload of an ONNX file, named after it; raises `ConfigError` if it is none."""
    spec, _ = graph_spec(load_graph(path))
    task: Task = Unlabelled(spec)
    if samples is not None:
        task = Labelled(spec, _read(samples, spec))
    return Workload(path.stem, Model(onnx=path), task)


def _read(path: Path, spec: tuple[InputSpec, ...]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path}: not a readable .npz file ({error})") from error
    wanted = [*(item.name for item in spec), "labels"]
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise ConfigError(
            f"{path}: no array named {', '.join(missing)}; it has {', '.join(arrays) or 'none'}"
        )
    lengths = {name: len(arrays[name]) for name in wanted}
    if len(set(lengths.values())) != 1 or lengths["labels"] < 4:
        raise ConfigError(f"{path}: arrays must be equally long, and at least 4: {lengths}")
    order = np.random.default_rng(0).permutation(lengths["labels"])
    return {name: arrays[name][order] for name in wanted}
