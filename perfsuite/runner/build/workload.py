"""The workload of a job."""

from __future__ import annotations

from perfsuite.domain.workload import Workload
from perfsuite.runner.job import Job
from perfsuite.workloads.table import load_workload


def workload_of(job: Job) -> Workload:
    """Return the workload, with all that the suite says of it where it is an ONNX file."""
    return load_workload(job.reference, job.samples, job.shapes, job.detection)
