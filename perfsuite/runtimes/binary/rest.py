"""What our kernels do not compute runs on ONNX Runtime, in graphs of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from perfsuite.runtimes.binary.plan import Rest

Array = npt.NDArray[Any]


class RestSession:
    """An opened graph of the rest."""

    def __init__(self, rest: Rest, path: Path, batch: int, threads: int) -> None:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
        settings.log_severity_level = 4  # only fatal; errors are raised as exceptions
        # Threads that wait by spinning would take the cores from our own.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if batch:
            settings.add_free_dimension_override_by_name("batch", batch)
        providers = ["CPUExecutionProvider"]
        self.rest = rest
        self.session = onnxruntime.InferenceSession(str(path), settings, providers=providers)

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Return the segment's outputs by name."""
        given = {name: values[name] for name in self.rest.inputs}
        outputs = self.session.run(list(self.rest.outputs), given)
        return dict(zip(self.rest.outputs, outputs, strict=True))

    def timed(self, values: Mapping[str, Array]) -> tuple[dict[str, Array], Array]:
        """Return the outputs, and the nanoseconds at begin and end."""
        begin = time.perf_counter_ns()
        found = self.run(values)
        return found, np.array([begin, time.perf_counter_ns()])
