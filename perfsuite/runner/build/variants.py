"""From a workload and a recipe to a variant: passes and export, every step in the cache.

The key of each step is a hash chain over all that it depends on: the model's bytes, a pass's fields
and version, the parts of the target that the pass uses, library versions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from perfsuite.domain.model import Stage
from perfsuite.domain.recipe import Edits, PassContext, Target
from perfsuite.domain.runtime import Runtime, Variant
from perfsuite.domain.task import Inputs, main_metric
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError, PerfsuiteError, Unsupported
from perfsuite.export.calls import evaluated
from perfsuite.export.own_precision import BINARY
from perfsuite.export.pieces import read_pieces
from perfsuite.export.state import state_parts
from perfsuite.plugins import own_digest, source_digest
from perfsuite.runner.build import artifacts
from perfsuite.runner.build.batching import WHY, try_two
from perfsuite.runner.build.capabilities import operators_of, target_of
from perfsuite.runner.build.changes import Changes, changes_of, stages_of
from perfsuite.runner.build.checkpoints import checkpoints, remove_checkpoints
from perfsuite.runner.build.edits import read_edits, write_edits
from perfsuite.runner.build.export import GRAPH, Exporter
from perfsuite.runner.build.identity import (
    built_versions,
    onnx_key,
    structure_of,
    unstored_parts,
)
from perfsuite.runner.build.kernels import calls_binary, expanded, has_binary, needed
from perfsuite.runner.build.latency_clock import Clock
from perfsuite.runner.build.layer_widths import Applied, AppliedPass
from perfsuite.runner.build.pass_samples import PassSamples
from perfsuite.runner.build.piece_passes import apply_to_pieces
from perfsuite.runner.build.repeatable import check_repeatable, check_repeatable_graph
from perfsuite.runner.build.same_net import Values, check_same, some_values
from perfsuite.runner.build.stages import prefixes
from perfsuite.runner.build.steps import Step, told_after
from perfsuite.runner.build.weights import check_weights
from perfsuite.runner.job import Job
from perfsuite.runner.progress import PassProgress
from perfsuite.store.cache import Cache, key_of
from perfsuite.store.seconds import read_seconds, write_seconds
from perfsuite.user_code import require_type, user_code
from perfsuite.workloads.table import WORKLOADS, weights_of

if TYPE_CHECKING:
    from torch import nn


MODULE_KEY = "key.txt"
_EXPORTED = "3"  # changes when graphs are written with more than before

Rebuild = Callable[[], "nn.Module"]


@dataclass
class VariantBuilder:
    """Makes one variant of one workload, step by step, from the cache where it can."""

    workload: Workload
    job: Job
    steps: list[Step]
    runtime: Runtime
    cache: Cache
    weights_key: str = ""  # of the module's weights alone, once they were read for another key
    whole_graph: Path | None = None  # before binary convolutions became plain operators
    first_built: Values | None = None  # some values of the first net, that the others must have

    def __post_init__(self) -> None:
        self.steps = [step.settled(self.workload.task) for step in self.steps]

    def variant(self) -> tuple[Variant, str]:
        """Return the variant that the runtime takes, and its key.

        Before anything is done for it, raises `Unsupported` for a pass that the runtime cannot run,
        `ConfigError` where the samples that will be answered would be trained on.
        """
        from perfsuite.config.refusals import needs_module, takes_modules

        quantized = any(step.is_graph for step in self.steps)
        rebuild = self.rebuild if self.workload.model.onnx is None else None
        if rebuild is None and self._model_steps:
            raise Unsupported(needs_module(self._model_steps[0].use.use, self.workload.name))
        if self.job.evaluate.split == "validation":
            self._samples.require_held_out()
        for step in self.steps:
            step.resolved(self.target(step))
        if self.runtime.takes == "module":
            if rebuild is None:
                raise Unsupported(takes_modules(self.runtime))
            return Variant(None, rebuild, quantized), self.edits_key
        if self.runtime.takes == "nothing":
            key = key_of("nothing", *self._identity)
            for step in self.steps:
                key = self._key(step, key)
            return Variant(None, None, quantized), key
        return self._graph(rebuild, quantized)

    def _key(self, step: Step, parent: str) -> str:
        return step.key(parent, self._samples.key(self.data_key, self.cache), self.target(step))

    def _runtime_of(self, step: Step) -> Runtime:
        """Return the runtime that a pass is fitted for: the cell's, unless it names another."""
        named = getattr(step.pass_, "runtime", "")
        return artifacts.load_runtime(named) if named else self.runtime

    def target(self, step: Step) -> Target:
        return target_of(self._runtime_of(step), self.job.cell)

    @cached_property
    def _samples(self) -> PassSamples:
        trains = bool(self._model_steps)
        return PassSamples(self.workload, self.job, trains, lambda: self.one_at_a_time)

    # -- the model --------------------------------------------------------------------------

    @cached_property
    def model_key(self) -> str:
        """Return the key of the workload's model, weights included."""
        if self.workload.model.onnx is not None:
            return onnx_key(self.workload.model.onnx)
        weights = weights_of(self.job.reference)
        if weights is None:
            return self._module_key()
        # All that the module follows from is known, so that it need not be built to know its key.
        key = key_of("model", *self._identity, own_digest(), *built_versions(), weights)
        try:
            folder, _ = self.cache.build("model", key, self._write_module_key)
        except ConfigError:  # it cannot be written; all else may be there
            return self._module_key()
        return (folder / MODULE_KEY).read_text()

    def _write_module_key(self, folder: Path) -> None:
        (folder / MODULE_KEY).write_text(self._module_key())

    def _module_key(self) -> str:
        module = self.build()
        with user_code(f"{self.workload.name}: what its module says of itself"):
            structure = structure_of(module)
        with user_code(f"{self.workload.name}: the state of its module"):
            state = list(state_parts(module))
            if self.job.reference not in WORKLOADS:  # whose other parts follow from their source
                state += unstored_parts(module)
        self.weights_key = key_of(*state)
        return key_of("module", *self._identity, structure, *state)

    @property
    def bytes_key(self) -> str:
        """Return a digest of the ONNX file, or of the module's weights; '' if neither was read."""
        is_file = self.workload.model.onnx is not None and self.runtime.takes != "nothing"
        return self.model_key if is_file else self.weights_key

    def require_same_file(self) -> None:
        """Raise `ConfigError` if the ONNX file was replaced since its key was made.

        What was built of it meanwhile must not be kept under that key.
        """
        path = self.workload.model.onnx
        if path is not None and onnx_key(path) != self.model_key:
            raise ConfigError(
                f"{path}: it was replaced while a job was at work on it; leave it as it is until "
                f"the run has ended"
            )

    @property
    def _identity(self) -> tuple[str, str]:
        """Return the name and the source digest, by which workloads differ that look alike."""
        return self.workload.name, source_digest("workload", self.job.reference)

    @cached_property
    def data_key(self) -> str:
        """Return the key of the workload's data."""
        samples = Path(self.job.samples) if self.job.samples else ""
        return key_of(self.workload.task.fingerprint(), samples)

    def build(self) -> nn.Module:
        """Return the workload's module without passes, freshly built, in evaluation mode.

        Raises `Unsupported` for weights in 16 bits where more precision is asked for, `BuildError`
        for another net than it was the first time.
        """
        build = self.workload.model.build
        if build is None:
            raise ConfigError(f"{self.workload.name}: its model has neither build nor onnx")
        module = evaluated(build())
        check_weights(module, self.workload.name, self.job.cell.precision)
        values = some_values(module)
        if self.first_built is None:
            self.first_built = values
        check_same(self.first_built, values, self.workload.name)
        return module

    @cached_property
    def is_binary(self) -> bool:
        """Tell whether the variant has binary convolutions."""
        own = self.workload.model.onnx
        by_pass = BINARY in needed(step.pass_ for step in self.steps)
        return by_pass or (own is not None and calls_binary(own))

    @property
    def simulates(self) -> bool:
        """Tell whether the engine computes binary convolutions in float, having no kernels."""
        return self.runtime.takes != "nothing" and self.is_binary and not has_binary(self.runtime)

    @cached_property
    def one_at_a_time(self) -> str:
        """Return why a call takes one sample alone, though the batch is open; '' if it does not.

        It is tried once, of an ONNX file for an engine that takes graphs: a module says it itself
        (`Model.batch`), and fails where it does not.
        """
        model = self.workload.model
        if model.onnx is None or model.batch is not None or self.runtime.takes != "graph":
            return ""
        key = key_of("batching", self.model_key, self.data_key)
        folder, _ = self.cache.build("batching", key, partial(try_two, self.workload))
        self.require_same_file()
        return (folder / WHY).read_text()

    # -- model passes -----------------------------------------------------------------------

    @property
    def _model_steps(self) -> list[Step]:
        return [step for step in self.steps if not step.is_graph]

    @cached_property
    def edits_key(self) -> str:
        """Return the key of the module after all model passes."""
        key = self.model_key
        for step in self._model_steps:
            key = self._key(step, key)
        return key

    @property
    def fitted_s(self) -> float:
        """Return how long fitting the model passes took, whenever that was."""
        steps = [] if self.runtime.takes == "nothing" else self._model_steps
        found, key = 0.0, self.model_key if steps else ""
        for step in steps:
            key = self._key(step, key)
            found += read_seconds(self.cache.get("edits", key))
        return found

    def rebuild(self) -> nn.Module:
        """Return the module with every model pass's edits applied, in evaluation mode."""
        return self._edited(self._applied())

    def structure(self) -> str:
        """Return a digest of what the module of `rebuild` consists of, except its weights."""
        module = self.rebuild()
        with user_code(f"{self.workload.name}: what its module says of itself"):
            return key_of(structure_of(module))

    def changes(self) -> Changes:
        """Return what model passes have made of the module."""
        return changes_of(self._applied(), self._edited)

    def stages(self) -> tuple[Stage, ...]:
        """Return the stages of the module of `rebuild`."""
        return stages_of(self.workload.model.stages, self._applied(), self._edited)

    def _applied(self) -> Applied:
        applied: list[AppliedPass] = []
        # Hashing a model takes memory, which would count as that of a measuring process.
        key = self.model_key if self._model_steps else ""
        for step in self._model_steps:
            key = self._key(step, key)
            fit = partial(self._fit, step, tuple(applied), key)
            folder, made = self.cache.build("edits", key, fit)
            if made:  # only now, as a process may be killed before the edits are stored
                remove_checkpoints(key)
            applied.append(AppliedPass(step.pass_, read_edits(folder), step.name))
        return applied

    def _fit(self, step: Step, before: Applied, key: str, folder: Path) -> None:
        began_s = time.monotonic()
        model, context, whose = self._edited(before), self.context(step, key), step.use.use
        context = replace(context, original=self.build if before else None)
        check_repeatable(model, context.inputs)
        with told_after(one.name for one in before), user_code(f"{whose}: its fit()"):
            edits = step.pass_.fit(model, context)
        write_edits(folder, require_type(edits, Edits, f"{whose}: its fit()", "perfsuite.Edits"))
        write_seconds(folder, time.monotonic() - began_s)

    def _edited(self, applied: Applied) -> nn.Module:
        from torch import nn

        module = self.build()
        for pass_, edits, _ in applied:
            whose = f"{type(pass_).__name__}: its rebuild()"
            with user_code(whose):
                rebuilt = pass_.rebuild(module, edits)
            module = require_type(rebuilt, nn.Module, whose, "a torch.nn.Module")
        return evaluated(module)

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return the task's `inputs`."""
        return self.workload.task.inputs(batch, seed)

    # -- the graph --------------------------------------------------------------------------

    def _graph(self, rebuild: Rebuild | None, quantized: bool) -> tuple[Variant, str]:
        """Return the variant after export, in pieces if needed, and graph passes, and its key."""
        if self.workload.model.onnx is not None:
            path, key = self._file(self.workload.model.onnx)
        else:
            key = self._export_key
            folder, _ = self.cache.build("export", key, self._exporter)
            if read_pieces(folder) is not None:
                folder, key = self._passed_pieces(folder, key)
                return Variant(None, rebuild, quantized, folder), key
            path = folder / GRAPH
        for step in self.steps:
            if step.is_graph:
                key = self._key(step, key)
                apply = partial(self._apply, step, path, key)
                folder, made = self.cache.build("graph", key, apply)
                if made:
                    remove_checkpoints(key)
                path = folder / GRAPH
        if self.simulates:
            self.whole_graph = path
            path, key = expanded(path, key, self.cache)
        return Variant(path, rebuild, quantized and _is_quantized(path)), key

    def _file(self, path: Path) -> tuple[Path, str]:
        """Return the ONNX file and its key: a copy with settled sides, if it leaves them open."""
        inputs, key = self.workload.model.inputs, self.model_key
        if not inputs:
            return path, key

        def write(folder: Path) -> None:
            from perfsuite.export.onnx import write_settled

            write_settled(path, inputs, folder / GRAPH)
            self.require_same_file()

        key = key_of(key, "inputs", msgspec.json.encode(inputs))
        folder, _ = self.cache.build("graph", key, write)
        return folder / GRAPH, key

    @property
    def _exporter(self) -> Exporter:
        return Exporter(self.workload, self.rebuild, self.inputs, self.stages)

    @property
    def _export_key(self) -> str:
        made_by = (version("torch"), version("onnx"), *prefixes(self.workload.model.stages))
        return key_of(self.edits_key, "export", _EXPORTED, *made_by)

    def _passed_pieces(self, folder: Path, key: str) -> tuple[Path, str]:
        """Return the folder of the pieces after all graph passes, and its key."""
        for step in self.steps:
            if step.is_graph:
                key = self._key(step, key)
                context = self.context(step, key)
                apply = partial(apply_to_pieces, step, self.rebuild(), context, folder)
                folder, _ = self.cache.build("graph", key, apply)
        return folder, key

    def pieces(self, refusal: PerfsuiteError) -> Path:
        """Return the folder with the stages' modules, for an engine that refuses the whole graph.

        Graph passes have changed each. Raises `refusal` if the model cannot be split: for an ONNX
        file, without stages.
        """
        if self.workload.model.build is None:
            raise refusal
        exporter = self._exporter

        def write(folder: Path) -> None:
            exporter.pieces(self.rebuild(), refusal, folder)

        key = key_of(self._export_key, str(refusal))
        folder, _ = self.cache.build("export", key, write)
        return self._passed_pieces(folder, key)[0]

    def _apply(self, step: Step, graph: Path, key: str, folder: Path) -> None:
        import onnx

        from perfsuite.export.onnx import load_graph
        from perfsuite.export.sides import keep_settled

        whose, context = f"{step.use.use}: its apply()", self.context(step, key)
        if self.workload.model.onnx is not None:
            check_repeatable_graph(graph, context.inputs, operators_of(self.runtime))
        before = load_graph(graph)
        with user_code(whose):
            made = step.pass_.apply(before, context)
        require_type(made, onnx.ModelProto, whose, "an onnx.ModelProto")
        keep_settled(before, made)
        self.require_same_file()
        onnx.save(made, folder / GRAPH)

    def context(self, step: Step, key: str) -> PassContext:
        """Return what a pass may know; `key` is that of its result."""
        cell, runtime = self.job.cell, self._runtime_of(step)
        progress = PassProgress(cell.key, step.name)
        return PassContext(
            inputs=self.inputs(self.workload.model.batch or cell.batch, 0),
            calibration=self._samples.calibration,
            train=self._samples.train,
            target=self.target(step),
            checkpoint=checkpoints() / key,
            progress=progress,
            say=progress.say,
            latency_s=Clock(runtime, cell.device, cell.precision, cell.threads),
            validation=self._samples.validation,
            metric=partial(main_metric, self.workload.task),
        )


def _is_quantized(graph: Path) -> bool:
    """Return whether the graph has Q/DQ pairs, which not every graph pass writes."""
    from perfsuite.export.onnx import load_graph

    return any(node.op_type == "DequantizeLinear" for node in load_graph(graph).graph.node)
