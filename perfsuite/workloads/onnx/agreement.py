"""The task of an ONNX file with samples and without labels: how far a variant answers as the file.

It is no accuracy: a file that is wrong is agreed with, too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from perfsuite.domain.metrics import AGREEMENT
from perfsuite.domain.task import Inputs, Outputs, Predict
from perfsuite.errors import Unavailable, Unsupported
from perfsuite.export.evaluated import evaluated
from perfsuite.export.kept_layouts import with_kept_layouts
from perfsuite.export.values import arrays
from perfsuite.workloads.onnx.tasks import Sampled
from perfsuite.workloads.tasks.agreement import agreement

COMPARED = "compared with the file's own answers"


@dataclass(frozen=True)
class Agreeing(Sampled):
    """Samples whose answers are compared with those that ONNX Runtime gives for the file itself."""

    file: Path = Path()
    metric_name = AGREEMENT
    rows_version = 2

    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]
        """Return that there is no accuracy, and which types of samples were converted."""
        return (COMPARED, *super().labels)

    def rows(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return (samples, 1) rows of the second half: the agreement of the call of each sample."""
        return self._rows(predict, *self._tested(samples))

    def validation(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return the same of the first half's last samples."""
        return self._rows(predict, *self._validated(samples))

    def _rows(self, predict: Predict, start: int, stop: int) -> np.ndarray:
        answers = _answers(self.file)
        rows: list[float] = []
        for chosen in self._singly(start, stop):
            inputs = self.samples.call(chosen)
            rows += [agreement(answers(inputs), predict(inputs))] * len(chosen)
        return np.array(rows, np.float64)[:, None]

    def metric(self, rows: np.ndarray) -> float:
        """Return the mean agreement."""
        return float(rows[:, 0].mean())

    def _singly(self, start: int, stop: int) -> list[range]:
        size = self.size or 1
        return [range(first, min(first + size, stop)) for first in range(start, stop, size)]


def _answers(file: Path) -> Callable[[Inputs], Outputs]:
    """Return what answers as the file does; raise `Unavailable` without ONNX Runtime.

    What that does not run ONNX's own implementation answers, if it is small.
    """
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise Unavailable(
            f"{file.name} has samples without labels, which are compared with what ONNX Runtime "
            f"answers, and that is not installed; pip install onnxruntime"
        ) from error
    options = ort.SessionOptions()
    options.log_severity_level = 4  # only fatal; errors are raised as exceptions
    try:
        session = _session(file, options)
    except Exception as error:  # noqa: BLE001 - its errors have no common class
        return partial(_evaluated, file, error)

    def answers(inputs: Inputs) -> Outputs:
        try:
            return arrays(session.run(None, inputs))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001
            return _evaluated(file, error, inputs)

    return answers


def _session(file: Path, options: Any) -> Any:
    """Return a session on the file, with what ONNX Runtime misreads written as it reads it.

    Nodes of one name, which it does not take, are told apart.
    """
    import onnxruntime as ort

    from perfsuite.export.onnx import load_graph

    providers = ["CPUExecutionProvider"]
    model = load_graph(file)
    whole = with_kept_layouts(model)
    if whole is model:
        with suppress(Exception):  # its errors have no common class
            return ort.InferenceSession(str(file), options, providers=providers)
    return ort.InferenceSession(whole.SerializeToString(), options, providers=providers)


def _evaluated(file: Path, error: Exception, inputs: Inputs) -> Outputs:
    """Return the answers of ONNX's implementation; raise that ONNX Runtime fails with an error."""
    found = evaluated(file, inputs)
    if found is None:
        raise Unsupported(_not_run(file, error)) from error
    return found


def _not_run(file: Path, error: Exception) -> str:
    """Return that nothing can be compared, as ONNX Runtime does not run the file, and why."""
    return (
        f"{file.name} has samples without labels, which are compared with what ONNX Runtime "
        f"answers, and that does not run it ({str(error).strip().splitlines()[0]}); give the "
        f"samples labels, or take {file.name} without samples, with `shapes` for its open sides"
    )
