"""Whether a cell is possible at all, before anything is made for it."""

from __future__ import annotations

from perfsuite.config.refusals import lacking
from perfsuite.domain.runtime import Runtime
from perfsuite.domain.workload import Workload
from perfsuite.errors import Unsupported
from perfsuite.runner.build.variants import VariantBuilder
from perfsuite.runner.job import Job
from perfsuite.user_code import user_code

# What makes a file take a batch of one alone though it leaves the batch open.
_INSIDE = (
    "a constant in the graph, such as that of a Reshape to [1, ...], fixes its batch inside: "
    "export it so that this follows the batch"
)


def check_supported(runtime: Runtime, job: Job) -> None:
    """Raise `Unsupported` for a device or a precision that the runtime has not."""
    if why := lacking(runtime, job.cell.device, job.cell.precision):
        raise Unsupported(why)
    require = getattr(runtime, "require", None)
    if require is not None:
        with user_code(f"{runtime.name}: its require()"):
            require(job.cell.device, job.cell.precision)


def check_batch(workload: Workload, job: Job) -> None:
    """Raise `Unsupported` for another batch than the only one that the model takes."""
    only, reason = workload.model.batch, workload.model.why_batch
    if only is not None and only != job.cell.batch:
        advice = f"; {_INSIDE}" if "ONNXRuntimeError" in reason else ""
        raise Unsupported(
            f"{workload.name} takes batches of {only} alone, and {job.cell.batch} was asked for"
            f"{reason and f' ({reason})'}{advice}"
        )


def check_takes_batches(builder: VariantBuilder) -> None:
    """Raise `Unsupported` for several samples in a call of a graph that takes one alone."""
    batch, name = builder.job.cell.batch, builder.workload.name
    if batch > 1 and (why := builder.one_at_a_time):
        raise Unsupported(
            f"{name} takes batches of 1 alone, and {batch} was asked for ({why}); {_INSIDE}"
        )
