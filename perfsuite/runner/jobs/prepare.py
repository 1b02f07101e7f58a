"""The prepare job: passes, export, build and parity, as far as they are not in the cache."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from perfsuite.domain.device import PROCESSOR
from perfsuite.domain.profile import Node
from perfsuite.domain.record import (
    FROZEN,
    ONE_AT_A_TIME,
    SPLIT,
    UNLABELLED,
    Line,
)
from perfsuite.domain.runtime import Manifest, Runtime, Variant
from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, Unsupported
from perfsuite.export.frozen import frozen_in_files, naming_frozen
from perfsuite.export.left import left_in_file
from perfsuite.export.own_precision import BINARY
from perfsuite.plugins import source_digest
from perfsuite.runner.build import artifacts, kernels, stages
from perfsuite.runner.build.batching import spec_of
from perfsuite.runner.build.capabilities import (
    identity_of,
    libraries_of,
    only_builds,
    operators_of,
    writer_key,
)
from perfsuite.runner.build.changes import Changes
from perfsuite.runner.build.every_processor import device_key
from perfsuite.runner.build.hints import with_batch_hint
from perfsuite.runner.build.pictures import read_picture
from perfsuite.runner.build.steps import steps_of
from perfsuite.runner.build.variants import VariantBuilder
from perfsuite.runner.build.workload import workload_of
from perfsuite.runner.job import Job
from perfsuite.runner.jobs.comparing import Comparing
from perfsuite.runner.jobs.possible import check_batch, check_supported, check_takes_batches
from perfsuite.runner.jobs.prepared import built_only, prepared_line
from perfsuite.runner.jobs.shipped import take_shipped
from perfsuite.runtimes.split.session import build_split, is_split
from perfsuite.store.cache import Cache, key_of
from perfsuite.user_code import user_code

if TYPE_CHECKING:
    from perfsuite.export.own_precision import OwnPrecisions
    from perfsuite.measure.macs import Macs

ROTATION = 8  # inputs that timed calls rotate over, so that they are not always in the cache
_FACTS = "3"  # changes when other facts are found out of the same artifact, such as its MACs


def prepare(job: Job) -> Line:
    """Return the line of a prepared cell; its artifact lies in the cache under the line's key."""
    runtime = artifacts.load_runtime(job.runtime)
    libraries = libraries_of(runtime)
    check_supported(runtime, job)
    if job.recipe.shipped is not None:
        return take_shipped(job, job.recipe.shipped, runtime, libraries)
    steps = steps_of(job, runtime)
    workload = workload_of(job)
    check_batch(workload, job)
    cache = Cache(sealed=job.cached_only)
    builder = VariantBuilder(workload, job, steps, runtime, cache)
    check_takes_batches(builder)
    try:
        return _prepared(job, builder, libraries)
    except BuildError as error:
        if (told := with_batch_hint(workload, error)) is error:
            raise
        raise told from error


def _prepared(job: Job, builder: VariantBuilder, libraries: dict[str, str]) -> Line:
    """Return the line of a cell whose passes, export and build are done, or found in the cache."""
    runtime, workload, cache = builder.runtime, builder.workload, builder.cache
    variant, variant_key = builder.variant()
    key = key_of(
        _FACTS,
        variant_key,
        builder.data_key,  # of the data that the artifact's inputs are taken from
        job.cell.runtime,
        source_digest("runtime", job.runtime),
        job.cell.device,
        job.cell.precision,
        str(job.cell.batch),
        msgspec.json.encode(libraries, order="sorted"),
        device_key(job, builder.steps, identity_of(runtime, job.cell.device)),
        msgspec.json.encode(workload.model.stages),
        Path(job.picture) if job.picture else "",
        *writer_key(runtime, quantized=variant.quantized),
    )
    folder, made = cache.build("artifact", key, _Build(job, runtime, builder, variant))
    line = prepared_line(
        job,
        folder,
        key,
        made=made,
        labels=_labels(builder, folder),
        made_up=workload.task.made_up and not job.picture,
        model=builder.bytes_key,
    )
    if fitted_s := builder.fitted_s:
        line = msgspec.structs.replace(line, made_s=fitted_s)
    return built_only(line, runtime, job, folder) if only_builds(runtime, job.cell.device) else line


def _labels(builder: VariantBuilder, folder: Path) -> tuple[str, ...]:
    task, model = builder.workload.task, builder.workload.model
    unlabelled = () if task.metrics() else (UNLABELLED,)
    found_out = builder.one_at_a_time or (model.batch == 1 and model.why_batch)
    single = (ONE_AT_A_TIME,) if found_out else ()
    decided = (step.label for step in builder.steps if step.label)
    counts = builder.is_binary and builder.runtime.takes != "nothing"
    binary = kernels.labels(counts, builder.simulates)
    made = (*((SPLIT,) if is_split(folder) else ()), *binary)
    return (*unlabelled, *made, *single, *task.labels, *decided)


@dataclass(frozen=True)
class _Build:
    """Fills an artifact's folder, and checks that it answers as the model does."""

    job: Job
    runtime: Runtime
    builder: VariantBuilder
    variant: Variant

    def __call__(self, folder: Path) -> None:
        self._check_stages()
        inputs = self._inputs()
        self._check_repeatable(inputs[0])
        started = time.perf_counter()
        manifest = self._manifest(inputs[0])
        self._built(manifest, inputs, folder)
        build_s = time.perf_counter() - started
        artifacts.write_manifest(folder, manifest)
        artifacts.write_inputs(folder, inputs)
        comparing = Comparing(self.job, self.runtime, self.builder, self.variant, folder)
        with naming_frozen(self._graphs()):
            compared = comparing.compared(manifest, inputs[:2])
        if compared.not_finite:
            manifest = msgspec.structs.replace(manifest, not_finite=compared.not_finite)
            artifacts.write_manifest(folder, manifest)
        likeness, alike = comparing.likeness(manifest, inputs[:2])
        counted = self._counted(folder)
        changes = self.builder.changes() if self.variant.rebuild is not None else Changes()
        needs_source = self.runtime.takes == "module" or is_split(folder)
        facts = artifacts.Facts(
            build_s=build_s,
            parameters=counted.parameters if counted else None,
            macs=counted.macs if counted else None,
            parity=compared.parity,
            uncounted=counted.uncounted if counted else {},
            widths=changes.widths,
            replaced=changes.replaced,
            sources=artifacts.sources_of(self.job),
            needs_source=needs_source,
            versions=libraries_of(self.runtime),
            runtime=source_digest("runtime", self.job.runtime),
            input_shapes=artifacts.shapes_of(inputs),
            likeness=likeness,
            structure=self.builder.structure() if needs_source else "",
            labels=tuple(
                dict.fromkeys(
                    (*self._own.labels, *compared.labels, *alike, *changes.labels, *self._frozen())
                )
            ),
            left=left_in_file(self.variant.graph),
        )
        artifacts.write_facts(folder, facts)
        artifacts.write_parts(folder, self._parts(folder, inputs[0]))
        self.builder.require_same_file()

    def _check_repeatable(self, inputs: Inputs) -> None:
        """Raise for a file that answers by chance; a module is tried where it is exported."""
        from perfsuite.runner.build.repeatable import check_repeatable_graph

        own = self.builder.workload.model.onnx
        if own is not None and self.runtime.takes == "graph":
            check_repeatable_graph(own, inputs, operators_of(self.runtime))

    def _built(self, manifest: Manifest, inputs: list[Inputs], folder: Path) -> None:
        """Build the model or, if the engine refuses the whole of it, its stages."""
        pieces = self.variant.pieces
        if pieces is None:
            try:
                with user_code(f"{self.runtime.name}: its build()"):
                    variant = replace(
                        self.variant, example=inputs[0], shapes=artifacts.shapes_of(inputs)
                    )
                    self.runtime.build(variant, manifest, folder)
                return
            except (BuildError, Unsupported) as refusal:
                if self.runtime.takes != "graph":
                    raise
                pieces = self.builder.pieces(refusal)
                for file in folder.iterdir():
                    file.unlink()
        build_split(self.runtime, pieces, manifest, folder)

    def _inputs(self) -> list[Inputs]:
        batch = self.job.cell.batch
        if not self.job.picture:
            return [self.builder.inputs(batch, seed) for seed in range(ROTATION)]
        return [self._picture(batch)]

    def _picture(self, batch: int) -> Inputs:
        """Return the picture that the user gave, as often as a batch has samples."""
        assert self.job.picture
        one = self.builder.workload.task.from_picture(read_picture(Path(self.job.picture)))
        return {name: np.repeat(array, batch, axis=0) for name, array in one.items()}

    def _one_sample(self) -> Inputs:
        """Return inputs of one sample, or of the only batch that the model takes."""
        if self.job.picture:
            return self._picture(1)
        workload = self.builder.workload
        batch = workload.model.batch or 1
        spec = spec_of(workload)
        if workload.model.onnx is not None and not any("batch" in item.shape for item in spec):
            batch = self.job.cell.batch
        return self.builder.inputs(batch, 0)

    def _parts(self, folder: Path, inputs: Inputs) -> artifacts.Parts:
        """Return the nodes of the graph or module that the engine was given, and the stages."""
        from perfsuite.export.nodes import graph_nodes, module_nodes
        from perfsuite.export.onnx import load_graph

        workload = self.builder.workload
        nodes: tuple[Node, ...] = ()
        methods: tuple[str, ...] = ()
        has_module = self.variant.rebuild is not None
        declared = self.builder.stages() if has_module else workload.model.stages
        if is_split(folder):
            module = self.builder.rebuild()
            nodes, methods = module_nodes(module), stages.watched(declared, module)
        elif self.variant.graph is not None:
            nodes = graph_nodes(load_graph(self.variant.graph), inputs)
        elif self.variant.rebuild is not None:
            module = self.variant.rebuild()
            nodes, methods = module_nodes(module), stages.spans(declared, module)
        if workload.model.onnx is not None:
            stages.check(workload.name, declared, (node.path for node in nodes))
        return artifacts.Parts(nodes, declared, methods)

    def _check_stages(self) -> None:
        """Raise for stages that the model, as it was built, has not.

        The model after passes is not checked, because a pass may remove all of a stage.
        """
        workload, declared = self.builder.workload, self.builder.workload.model.stages
        if declared and self.variant.rebuild is not None:
            stages.check(workload.name, declared, stages.paths(declared, self.builder.build()))
        else:
            stages.check(workload.name, declared, stages.prefixes(declared))

    def _manifest(self, inputs: Inputs) -> Manifest:
        cell = self.job.cell
        if self.variant.graph is not None:
            from perfsuite.export.onnx import graph_spec, load_graph

            spec, outputs = graph_spec(load_graph(self.variant.graph))
        else:
            spec, outputs = self.builder.workload.input_spec(), self._output_names(inputs)
        return Manifest(
            runtime=cell.runtime,
            device=cell.device,
            precision=cell.precision,
            batch=cell.batch,
            inputs=spec,
            outputs=outputs,
            lossy=bool(self.builder.steps),
            quantized=self.variant.quantized,
            own_precisions=self._own.values,
            single=bool(self.builder.one_at_a_time),
            portable=self._portable(),
        )

    def _portable(self) -> bool | None:
        """Return whether the graph answers alike on processors without VNNI, if it is on bytes."""
        from perfsuite.export.onnx import load_graph
        from perfsuite.export.overflow import fits_16_bits

        rounded = self.variant.quantized or "int8" in self._own.values
        if self.variant.graph is None or self.job.cell.device != PROCESSOR or not rounded:
            return None
        return fits_16_bits(load_graph(self.variant.graph))

    @cached_property
    def _own(self) -> OwnPrecisions:
        """Return the precisions that the graph has by itself; those of a pass are not its own."""
        from perfsuite.export.onnx import load_graph
        from perfsuite.export.own_precision import OwnPrecisions, own_precisions

        found = OwnPrecisions()
        if self.variant.graph is not None and not self.variant.quantized:
            found = own_precisions(load_graph(self.variant.graph))
        if self.builder.is_binary:  # also of a module, and of a graph in plain operators
            found = found._replace(values=tuple(sorted({*found.values, BINARY})))
        return found

    def _frozen(self) -> tuple[str, ...]:
        """Return the label of graphs that were traced where the module looks at numbers."""
        places = frozen_in_files(self._graphs())
        return (FROZEN + places,) if places else ()

    def _graphs(self) -> list[Path]:
        """Return the files that the engine was given: one, those of the pieces, or none."""
        if self.variant.pieces is not None:
            return sorted(self.variant.pieces.glob("*.onnx"))
        return [self.variant.graph] if self.variant.graph is not None else []

    def _output_names(self, inputs: Inputs) -> tuple[str, ...]:
        if self.variant.rebuild is None:
            return ("output",)
        from perfsuite.runner.build.repeatable import check_repeatable

        outputs = check_repeatable(self.variant.rebuild(), inputs)
        return tuple(f"output{index}" for index in range(len(outputs)))

    def _counted(self, folder: Path) -> Macs | None:
        from perfsuite.measure.macs import count_graph, count_module

        if self.variant.graph is not None and not is_split(folder):
            found = count_graph(self.variant.graph, self._one_sample())
            whole = self.builder.whole_graph  # plain operators hide that packed bits are weights
            if whole is None:
                return found
            return msgspec.structs.replace(found, parameters=count_graph(whole).parameters)
        if self.variant.rebuild is not None:
            return count_module(self.variant.rebuild(), self._one_sample())
        return None
