"""The export of a module as a graph or, if that fails, of its stages' modules as graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.domain.model import InputSpec, Stage
from perfsuite.domain.task import Inputs, Outputs, Task
from perfsuite.domain.workload import Workload
from perfsuite.errors import BuildError, ParityError, PerfsuiteError, Unsupported
from perfsuite.export.onnx import export_graph
from perfsuite.export.pieces import export_pieces, piece_paths
from perfsuite.export.spans import spans as placed
from perfsuite.export.wrappers import scripted_part
from perfsuite.runner.build.export_hints import layer_hint
from perfsuite.runner.build.reference import check_export, module_outputs
from perfsuite.runner.build.repeatable import check_repeatable, put_back
from perfsuite.runner.build.stages import spans
from perfsuite.workloads.checked import unchecked

if TYPE_CHECKING:
    from torch import nn

GRAPH = "graph.onnx"
# What onnxruntime says of types that its operators do not take.
_NO_KERNELS = ("bfloat16", "NOT_IMPLEMENTED", "float16", "double")
CHECKED = 8  # inputs, on which graph and module must answer alike


@dataclass(frozen=True)
class Exporter:
    """Fills the folder of an exported workload, which is tried on `inputs(batch, seed)`."""

    workload: Workload
    rebuild: Callable[[], nn.Module]
    inputs: Callable[[int, int], Inputs]
    stages: Callable[[], tuple[Stage, ...]]  # of the module, which passes may have changed

    def __call__(self, folder: Path) -> None:
        """Write the graph of the module or, if its export fails, the pieces."""
        module = self.rebuild()
        _refuse_quantized(module)
        # What its code raises is no refusal of an exporter, which would not tell the line either.
        self._try(module)
        try:
            self._whole(module, folder / GRAPH)
        except (BuildError, ParityError, Unsupported) as refusal:
            (folder / GRAPH).unlink(missing_ok=True)
            if not piece_paths(module, self.stages()):
                advice = self._advice(module, refusal, folder / GRAPH)
                raise type(refusal)(f"{refusal}; {advice}") from refusal
            self.pieces(module, refusal, folder)

    def pieces(self, module: nn.Module, refusal: PerfsuiteError, folder: Path) -> None:
        """Write the modules of the stages; `refusal` is the error of the whole model.

        Raises an error of the same class if there are no stages, or none can be exported.
        """
        paths = piece_paths(module, self.stages())
        if not paths:
            hint = layer_hint(module, str(refusal)) or _STAGES
            raise type(refusal)(f"{refusal}; {hint}") from refusal
        try:
            export_pieces(module, paths, self._samples(), folder, str(refusal))
        except BuildError as error:
            raise type(refusal)(f"{refusal}; in pieces: {error}") from error

    def _try(self, module: nn.Module) -> None:
        """Raise unless the module answers, twice alike, in each of the sizes that are exported."""
        only = self.workload.model.batch
        if only is not None:
            _require_tensors(module, check_repeatable(module, self.inputs(only, 0)))
            return
        refused: dict[int, PerfsuiteError] = {}
        for size in (1, 2):
            try:
                with put_back(module):  # or a state would be told of no more
                    module_outputs(module, self.inputs(size, 0))
            except BuildError as error:
                refused[size] = error
        if len(refused) == 1:
            ((size, raised),) = refused.items()
            taken = 3 - size
            raise BuildError(
                f"{raised}; a batch of {taken} it answers, and one of {size} not: if it takes that "
                f"alone, say so: Model(build, batch={taken})"
            ) from raised
        # Raises what has been refused twice.
        _require_tensors(module, check_repeatable(module, self.inputs(1, 0)))

    def _whole(self, module: nn.Module, graph: Path) -> None:
        spec, only = self.workload.input_spec(), self.workload.model.batch
        with placed(module, spans(self.stages(), module)):
            export_graph(module, spec, self.inputs(only or 2, 0), graph)
        # On several inputs, because a traced graph has only the branch that its example took.
        try:
            check_export(module, graph, self._samples(), self.workload.task)
        except Unsupported as refusal:
            types = _computed_in(graph)
            if not types or not any(word in str(refusal) for word in _NO_KERNELS):
                raise
            raise Unsupported(
                f"{type(module).__name__}: its forward computes in {' and '.join(types)}, for "
                f"which the exported graph has no kernels ({refusal}); let it compute in float32 "
                f"(without torch.autocast): suites ask for lower precisions by `precision`"
            ) from refusal

    def _samples(self) -> list[Inputs]:
        only = self.workload.model.batch
        return [self.inputs(only or 1 + n % 2, n) for n in range(CHECKED)]

    def _advice(self, module: nn.Module, refusal: PerfsuiteError, graph: Path) -> str:
        """Return what to change for a model that does not export whole and has no stages."""
        if scripted := scripted_part(module):
            return (
                f"'{scripted}' is TorchScript, of which exporters follow no calls from Python: "
                f"leave it as it is in build(), or script the whole net"
            )
        if hint := layer_hint(module, str(refusal)):
            return hint
        training = [path for path, part in module.named_modules() if path and part.training]
        if isinstance(refusal, ParityError) and training:
            return (
                f"'{training[0]}' is still in training mode after eval(), as a train() of its own "
                f"decides, and graphs have none"
            )
        if isinstance(refusal, ParityError) and self._drops_an_axis(module):
            return (
                "for a batch of 1 it answers with fewer axes than for one of 2: a squeeze() takes "
                "the batch's axis too; name the axes, such as squeeze((2, 3)), or flatten(1)"
            )
        if self.workload.model.batch is None and self._exports_fixed(module, graph):
            return "for batches of one size it exports: say which, such as Model(build, batch=1)"
        own = type(unchecked(self.workload.task)).agreement is not Task.agreement
        if isinstance(refusal, ParityError) and not own and self._detects(module):
            return (
                "its outputs do not have one row a sample, as those of detectors: where their "
                "order and number have no meaning, Task.agreement says how they are compared"
            )
        return _STAGES

    def _drops_an_axis(self, module: nn.Module) -> bool:
        if self.workload.model.batch is not None:
            return False
        one, two = (module_outputs(module, self.inputs(size, 0)) for size in (1, 2))
        return any(a.ndim < b.ndim for a, b in zip(one, two, strict=False))

    def _detects(self, module: nn.Module) -> bool:
        size = self.workload.model.batch or 1
        outputs = module_outputs(module, self.inputs(size, 0))
        return any(output.shape[:1] != (size,) for output in outputs)

    def _exports_fixed(self, module: nn.Module, graph: Path) -> bool:
        """Tell whether batches of one sample export, and are answered as by the module."""
        example = self.inputs(1, 0)
        spec = [InputSpec(name, str(array.dtype), array.shape) for name, array in example.items()]
        try:
            export_graph(module, spec, example, graph)
            samples = [self.inputs(1, seed) for seed in range(CHECKED)]
            check_export(module, graph, samples, self.workload.task)
        except (BuildError, ParityError, Unsupported):
            return False
        finally:
            graph.unlink(missing_ok=True)
        return True


_STAGES = "with stages declared (perfsuite.Stage) it could run in pieces"


def _require_tensors(module: nn.Module, outputs: Outputs) -> None:
    """Raise `BuildError` for no answer, `Unsupported` for complex ones, which ONNX has not."""
    if not outputs:
        raise BuildError(
            f"{type(module).__name__}: its forward answers no tensor; let it return what it "
            f"computes, alone or in tuples, lists, dicts or dataclasses"
        )
    for index, output in enumerate(outputs):
        if output.dtype.kind == "c":
            raise Unsupported(
                f"{type(module).__name__}: its output {index} is {output.dtype}, and graphs have "
                f"no complex outputs; let forward return torch.view_as_real(...). The runtime "
                f"pytorch takes it as it is"
            )


def _computed_in(graph: Path) -> list[str]:
    """Return the floating types besides float32 that values of a graph have, by torch's names."""
    import onnx

    kinds = onnx.TensorProto
    names = {kinds.BFLOAT16: "bfloat16", kinds.FLOAT16: "float16", kinds.DOUBLE: "float64"}
    model = onnx.load(graph)
    found = {
        attribute.i for node in model.graph.node for attribute in node.attribute
        if node.op_type == "Cast" and attribute.name == "to"
    } | {tensor.data_type for tensor in model.graph.initializer}  # fmt: skip
    return sorted(name for kind, name in names.items() if kind in found)


def _refuse_quantized(module: nn.Module) -> None:
    """Raise `Unsupported` for layers that torch has quantized, which have no graph of their own."""
    for path, part in module.named_modules():
        if ".quantized." in type(part).__module__ and type(part).__module__.startswith("torch."):
            raise Unsupported(
                f"{type(module).__name__}: torch has quantized it already ('{path}' is a "
                f"{type(part).__module__.rpartition('.modules')[0]} layer), and such layers do not "
                f"export to ONNX; give the float module, which the pass int8 quantizes. The "
                f"runtime pytorch takes it as it is"
            )
