"""The export of a module as a graph or, if that fails, of its stages' modules as graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.domain.task import Inputs
from perfsuite.domain.workload import Workload
from perfsuite.errors import BuildError, ParityError, PerfsuiteError, Unsupported
from perfsuite.export.onnx import export_graph
from perfsuite.export.pieces import export_pieces, piece_paths
from perfsuite.export.spans import spans as placed
from perfsuite.runner.build.reference import check_export, module_outputs
from perfsuite.runner.build.stages import spans

if TYPE_CHECKING:
    from torch import nn

GRAPH = "graph.onnx"
CHECKED = 8  # inputs, on which graph and module must answer alike


@dataclass(frozen=True)
class Exporter:
    """Fills the folder of an exported workload, which is tried on `inputs(batch, seed)`."""

    workload: Workload
    rebuild: Callable[[], nn.Module]
    inputs: Callable[[int, int], Inputs]

    def __call__(self, folder: Path) -> None:
        """Write the graph of the module or, if its export fails, the pieces."""
        module = self.rebuild()
        # What its code raises is no refusal of an exporter, which would not tell the line either.
        module_outputs(module, self.inputs(self.workload.model.batch or 1, 0))
        try:
            self._whole(module, folder / GRAPH)
        except (BuildError, ParityError, Unsupported) as refusal:
            (folder / GRAPH).unlink(missing_ok=True)
            self.pieces(module, refusal, folder)

    def pieces(self, module: nn.Module, refusal: PerfsuiteError, folder: Path) -> None:
        """Write the modules of the stages; `refusal` is the error of the whole model.

        Raises an error of the same class if there are no stages, or none can be exported.
        """
        paths = piece_paths(module, self.workload.model.stages)
        if not paths:
            raise type(refusal)(
                f"{refusal}; with stages declared (perfsuite.Stage) it could run in pieces"
            ) from refusal
        try:
            export_pieces(module, paths, self._samples(), folder, str(refusal))
        except BuildError as error:
            raise type(refusal)(f"{refusal}; in pieces: {error}") from error

    def _whole(self, module: nn.Module, graph: Path) -> None:
        spec, only = self.workload.input_spec(), self.workload.model.batch
        with placed(module, spans(self.workload.model.stages, module)):
            export_graph(module, spec, self.inputs(only or 2, 0), graph)
        # On several inputs, because a traced graph has only the branch that its example took.
        check_export(module, graph, self._samples(), self.workload.task)

    def _samples(self) -> list[Inputs]:
        only = self.workload.model.batch
        return [self.inputs(only or 1 + n % 2, n) for n in range(CHECKED)]
