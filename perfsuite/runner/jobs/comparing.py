"""How an artifact that was just built answers, beside the model that it was built from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from perfsuite.domain.record import ALIKE, Likeness
from perfsuite.domain.runtime import Manifest, Runtime, Session, Variant
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, ParityError, SchemaError, Unsupported
from perfsuite.export.parity import check_finite
from perfsuite.runner.build import artifacts
from perfsuite.runner.build.alike import answers_alike
from perfsuite.runner.build.answers import Compared, Comparison
from perfsuite.runner.build.as_graph import require_as_graph
from perfsuite.runner.build.capabilities import only_builds, operators_of
from perfsuite.runner.build.likeness import calls_like, likeness
from perfsuite.runner.build.reference import (
    ENGINES_FAULT,
    TIES,
    file_outputs,
    graph_answers,
    module_outputs,
    reference_outputs,
    ties_decide,
)
from perfsuite.runner.build.unrounded import require_unrounded
from perfsuite.runner.build.variants import VariantBuilder
from perfsuite.runner.job import Job
from perfsuite.runtimes.shared.base import trimmed
from perfsuite.runtimes.split.session import is_split
from perfsuite.store.temporary import TemporaryFolder
from perfsuite.user_code import require_type, user_code


@dataclass(frozen=True)
class Comparing:
    """Runs the artifact in `folder`, and the model, on the same inputs."""

    job: Job
    runtime: Runtime
    builder: VariantBuilder
    variant: Variant
    folder: Path

    def compared(self, manifest: Manifest, inputs: list[Inputs]) -> Compared:
        """Return how the artifact's answers compare with those of what it was built from.

        Raises `ParityError` where they differ; see `Comparison`.
        """
        if self._is_not_run:
            return Compared({})
        with self._opened(self.folder, manifest) as session:
            answers = [self._answer(session, item) for item in inputs]
        for answer in answers:
            if len(answer) != len(manifest.outputs):
                raise BuildError(
                    f"{self.job.cell.key}: {len(answer)} outputs, {len(manifest.outputs)} expected"
                )
        if self.runtime.takes == "nothing":
            for answer in answers:
                check_finite(answer, manifest.outputs)
            return Compared({})
        workload, model = self.builder.workload, self.variant
        if model.quantized:  # the answers before rounding are the model's own
            model = replace(model, graph=workload.model.onnx)
        operators = operators_of(self.runtime)
        comparison = Comparison(
            workload.task,
            manifest,
            partial(reference_outputs, model, operators=operators),
            made_up=workload.task.made_up and not self.job.picture,
        )
        if self.variant.quantized:
            return comparison.quantized(inputs, answers)
        try:
            return comparison.of(inputs, answers)
        except ParityError as error:
            raise ParityError(f"{error}{self._whose(comparison, inputs)}") from error

    def _whose(self, comparison: Comparison, inputs: list[Inputs]) -> str:
        """Return that answers which differ are the engine's fault, where its graph has them right.

        Where rounding errors decide what the model answers it is nobody's. It is "" where nobody
        else runs that graph, or answers as the engine does, and where values are rounded to fewer
        bits, which may cost as much.
        """
        if comparison.hangs_on_ties(inputs):
            return TIES
        graph, manifest = self.variant.graph, comparison.manifest
        if graph is None:
            return ""
        compare, operators = partial(comparison.of, inputs), operators_of(self.runtime)
        if ties_decide(graph, inputs, compare, operators):
            return TIES
        if manifest.precision != "fp32" or manifest.own_precisions:
            return ""
        try:
            compare(graph_answers(graph, inputs, operators))
        except (BuildError, ParityError, Unsupported):
            return ""
        return (
            f"; ONNX Runtime, which runs the same graph without optimizations, answers as the "
            f"model does: this is {ENGINES_FAULT}"
        )

    def likeness(
        self, manifest: Manifest, inputs: list[Inputs]
    ) -> tuple[tuple[Likeness, ...], tuple[str, ...]]:
        """Return how alike the answers are to those of the model before its passes, and labels.

        There are none without passes, whose answers parity compares. Raises `ParityError` where an
        engine computes something else than a quantized graph.
        """
        if not manifest.lossy or self.runtime.takes == "nothing" or self._is_not_run:
            return (), ()
        workload = self.builder.workload
        calibrates = any(step.is_graph for step in self.builder.steps)
        same = {spec.name for spec in manifest.inputs if spec.per_call}
        given = [*inputs, *(calls_like(inputs[0], workload.task, same) if calibrates else [])]
        try:
            expected = self._expected(given)
        except Unsupported:  # nothing here runs the model as it was
            return (), ()
        with self._opened(self.folder, manifest) as session:
            answered = [self._answer(session, one) for one in given]
        found = likeness(workload.task, manifest, given, expected, answered)
        graph = self.variant.graph
        if self.variant.quantized and graph is not None and not is_split(self.folder):
            asked = (workload.task, manifest, graph, given, expected, answered, found)
            if require_as_graph(*asked):
                plain = msgspec.structs.replace(manifest, quantized=False, portable=None)
                answers = partial(self._float_answers, plain, given[0])
                require_unrounded(workload.task, graph, given[0], self.runtime.name, answers)
        return found, (ALIKE,) if answers_alike(given, expected) else ()

    @property
    def _is_not_run(self) -> bool:
        return only_builds(self.runtime, self.job.cell.device)

    def _float_answers(self, manifest: Manifest, given: Inputs, graph: Path) -> Outputs:
        """Return the engine's answers by a file that rounds nothing."""
        with TemporaryFolder() as folder:
            self.runtime.build(Variant(graph, None, False), manifest, Path(folder))
            with self._opened(Path(folder), manifest) as session:
                return self._answer(session, given)

    def _expected(self, given: list[Inputs]) -> list[Outputs]:
        """Return the answers of the workload's model without passes."""
        path = self.builder.workload.model.onnx
        if path is not None:
            return [file_outputs(path, one) for one in given]
        module = self.builder.build()
        return [module_outputs(module, one) for one in given]

    @contextmanager
    def _opened(self, folder: Path, manifest: Manifest) -> Iterator[Session]:
        """Open what was just built, so that a file that cannot be opened is not a damaged one.

        Raises `BuildError` for that: the engine took the graph, and has no way to run it.
        """
        options = artifacts.options(self.job, self.variant.rebuild)
        try:
            with artifacts.open_session(self.runtime, folder, manifest, options) as session:
                yield session
        except SchemaError as error:
            why = trimmed(str(error.__cause__ or error))
            raise BuildError(
                f"{self.runtime.name} took the model and cannot run it ({why}); take another "
                f"engine, or another version of it"
            ) from error

    def _answer(self, session: Session, inputs: Inputs) -> Outputs:
        """Return the engine's answers; what the model's own code raises is told as that."""
        whose = f"{self.job.cell.key}: a call"
        with user_code(whose):
            answer = session.run(inputs)
        if not isinstance(answer, tuple):
            require_type(answer, list, whose, "a list")
        return [require_type(item, np.ndarray, whose, "NumPy arrays alone") for item in answer]
