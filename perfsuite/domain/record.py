"""The lines of a run's journal, and the records of cells that are computed from them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.certificate import Certificate
from perfsuite.domain.device import DeviceIdentity
from perfsuite.domain.environment import Environment
from perfsuite.domain.finding import Finding, LayerKernel
from perfsuite.domain.looks import Looks
from perfsuite.domain.metrics import Metric
from perfsuite.domain.profile import Breakdown, Roofline
from perfsuite.domain.sensitivity import Answer
from perfsuite.domain.shapes import InputShapes
from perfsuite.domain.suite import ResolvedSuite, Split
from perfsuite.domain.survey import Survey

SCHEMA = 1

# The last is of searches alone: what a workload has, and how long a training of it takes.
JobKind = Literal["prepare", "measure", "evaluate", "inspect", "survey"]
# The label of a cell whose workload has no labelled samples: it is timed, not judged.
UNLABELLED = "unlabelled"
# The label of a cell whose model does not run whole on its engine: the modules of its stages do.
SPLIT = "split"
# The label of a cell whose engine computes in float what is fast by kernels that it has not.
SIMULATED = "simulated"
# Of one whose engine computes on bits: the rule by which its MACs are counted.
BINARY_MACS = "64 products of bits count as one MAC"
# The label of a cell whose model takes one sample in a call, though its file leaves the batch open.
ONE_AT_A_TIME = "one sample at a time"
# The label of a cell that the system did not let take turns with those that it is compared with.
NOT_TOGETHER = "not measured together"
# The label of a cell that did not fit into memory beside the one that it is compared with.
MEASURED_ALONE = "measured alone"
# The label of a cell whose engine cannot be profiled; its evidence holds the reason.
NO_BREAKDOWN = "no breakdown"
# Of a cell whose model gives infinite values by itself, as masked logits are.
INFINITE = "infinite outputs"
# Of one that gives NaN on inputs that nobody gave: samples decide whether that is a fault.
NAN_OF_MADE_UP = "NaN on made-up inputs"
# Of one whose answers nothing could be held against, as nothing else here runs the model.
NOT_COMPARED = "answers not compared"
# Of one whose model gives different inputs the same answers, so that comparing them proves nothing.
ALIKE = "answers alike"
# How the label begins of one whose graph keeps what one input gave at these places of its forward.
FROZEN = "traced at "
# Of one whose file is INT8 already, where no kernel of the engine computed in 8 bits.
IN_FLOAT = "computed in float"
# The label of a cell whose processes run on an emulated processor: it is not measured.
EMULATED = "emulated"
# Of one in whose process sums of two 8-bit products overflow 16 bits, as without VNNI.
OVERFLOWS = "8-bit sums overflow"
# Of one whose file is INT8 already, with weights that are too wide for this processor.
MAY_OVERFLOW = "8-bit sums may overflow"
# Of one whose pictures could not be written into the folder of the run.
NO_PICTURES = "pictures not written"
# Of one whose file is INT8 already, as somebody quantized it before.
INT8_ALREADY = "int8 already"

Status = Literal["ok", "failed", "unsupported", "unavailable"]


class Measurement(msgspec.Struct, frozen=True, omit_defaults=True):
    """Raw samples of one metric, in SI units, in the order in which they were taken.

    `metric` is a name of `domain.metrics` or one that the run's header defines; `stage` names the
    row of the breakdown whose mean seconds a `stage_s` is. `slices` holds how many samples each
    slice has, where processes took turns.
    """

    metric: str
    unit: str
    samples: tuple[float, ...]
    stage: str | None = None
    slices: tuple[int, ...] = ()


class Slices(msgspec.Struct, frozen=True):
    """How the samples of one process lie in slices: `counts[i]` of them are of the i-th.

    `together` names the processes that took turns with this one: the i-th slices of two processes
    with the same name were timed in the same cycle.
    """

    together: str
    counts: tuple[int, ...]


class Part(msgspec.Struct, frozen=True):
    """A further process of a cell in one round, for a part of those that it is compared with."""

    latencies_s: tuple[float, ...]
    slices: Slices


class Accuracy(msgspec.Struct, frozen=True, omit_defaults=True):
    """A metric of the rows of one split, with what is needed to compare it with another.

    `samples` is the number of its rows: all of them, or those of a `SubsetMetric`. `replicates[i]`
    is the metric of the i-th resampling of the rows. As the resamplings depend only on the number
    of samples, the difference of two cells' replicates is a paired bootstrap (Efron and Tibshirani
    1993), for which neither the rows nor the code of the metric are needed. `digest` identifies the
    samples that were answered; only cells with equal ones may be paired.
    """

    metric: str
    value: float
    samples: int
    digest: str
    replicates: tuple[float, ...]
    split: Split = "test"


class EvidenceItem(msgspec.Struct, frozen=True):
    """One piece of evidence: how it is known, its subject, and its text.

    `observed` was seen while it ran, `reported` is what the engine says, `inferred` was concluded.
    """

    how: Literal["observed", "reported", "inferred"]
    about: str  # such as "library", "provider", "precision", "threads"
    name: str  # such as "oneDNN", "CPUExecutionProvider", "int8 kernels"
    value: str


class Evidence(msgspec.Struct, frozen=True):
    """What really ran, and what is wrong with it.

    `kernels` counts executed kernels by type and precision; `layers` are those that compute, in the
    order in which they run.
    """

    items: tuple[EvidenceItem, ...] = ()
    kernels: dict[str, int] = {}
    layers: tuple[LayerKernel, ...] = ()
    findings: tuple[Finding, ...] = ()


# The kind of the failure of a job that was not done, or cut off, because its run's time was up.
OUT_OF_TIME = "OutOfTime"


class Failure(msgspec.Struct, frozen=True):
    """The error of a job: its class, its message, and the worker's last output."""

    kind: str
    message: str
    output: str = ""


class LayerWidth(msgspec.Struct, frozen=True, omit_defaults=True):
    """The number of channels or features of a layer's result, before and after passes.

    `after` is 0 for a layer that was removed. `ranks` are the widths between the factors of a
    factorized layer. `left` is the reason, if any, why a pass did not change the layer.
    """

    layer: str
    before: int
    after: int
    ranks: tuple[int, ...] = ()
    left: str = ""


class Replacement(msgspec.Struct, frozen=True):
    """A net that a pass has put in the model's place, and the parameters of both."""

    by: str  # the name of the net
    before: int
    after: int


class Likeness(msgspec.Struct, frozen=True, omit_defaults=True):
    """How alike an output's answers are to those of the fp32 model without passes.

    `cosine` is the mean over `samples` of the cosine of the angle between both answers, and
    `relative_error` that of |a-b| / |b|, in Euclidean norms. Both are None for an output that was
    `left_out`, for the reason that this gives.
    """

    output: str
    cosine: float | None = None
    relative_error: float | None = None
    samples: int = 0
    left_out: str = ""


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One finished job."""

    cell: str  # the cell's id
    key: str  # and its readable key
    job: JobKind
    status: Status
    round: int | None = None  # of a measure line; times are paired within a round
    order: int | None = None  # its place in the round
    part: int = 0  # above 0 for a further process of a cell in its round: see `Record.parts`
    baseline: bool = False  # of the cell's artifact in the baseline, measured beside the cell's own
    together: str = ""  # of a line with a round: names the cells that took turns in it
    started_at: str = ""  # ISO 8601, UTC
    duration_s: float = 0.0
    cached: bool = False  # all of it was in the cache
    # How long was worked, cached or not: of a prepare line on fitting passes to the module, of an
    # evaluate line on answering. 0 where nothing of the kind was done, or by earlier versions.
    made_s: float = 0.0
    artifact: str = ""  # the artifact key
    model: str = ""  # of a prepare line: a digest of the model's bytes before any pass, if read
    labels: tuple[str, ...] = ()  # such as "unsteady"
    measurements: tuple[Measurement, ...] = ()
    accuracies: tuple[Accuracy, ...] = ()  # of an evaluate line, the main metric first
    accuracy: Accuracy | None = None  # instead of `accuracies`, in journals of earlier versions
    evidence: Evidence | None = None
    breakdown: Breakdown | None = None  # of an inspect line
    roofline: Roofline | None = None  # beside it
    error: Failure | None = None
    parity: dict[str, Any] = {}  # of a prepare line: output name to max|a-b|/max|b|
    widths: tuple[LayerWidth, ...] = ()  # of a prepare line, where passes changed any
    replaced: Replacement | None = None  # of a prepare line, where a pass did so
    device: DeviceIdentity | None = None  # that it was done on; None in journals that did not tell
    uncounted: dict[str, int] = {}  # beside its macs: operators that may compute, to their number
    input_shapes: InputShapes = {}  # of a prepare line: of the calls that are timed
    likeness: tuple[Likeness, ...] = ()  # of a prepare line, where passes changed answers
    int8_share: float | None = None  # of an inspect line: of the MACs, ran in 8 bits
    float_shares: dict[str, float] = {}  # beside it: of the MACs, did not, by operator
    made_up: bool = False  # beside them: the inputs are made up, as nobody gave samples
    left: dict[str, str] = {}  # of a prepare line: layers that a pass on the graph left, and why
    answer: Answer | None = None  # to a question that is asked before a run; in no journal
    survey: Survey | None = None  # of a survey line


class BetweenRuns(msgspec.Struct, frozen=True):
    """What differs between runs of the same artifact on one machine, beyond what processes show.

    `deviation` is the standard deviation of a run's log latency, `runs` how many told it.
    """

    deviation: float
    runs: int


class Header(msgspec.Struct, frozen=True):
    """The first line of a journal: all that is needed to judge the run later."""

    schema: int
    perfsuite: str  # the version that wrote it
    created_at: str
    suite: ResolvedSuite
    cells: tuple[Cell, ...]
    environment: Environment
    quick: bool = False  # made with --quick, which measures too little for reliable results
    metrics: tuple[Metric, ...] = ()  # those that perfsuite's own table has not
    baseline: str = ""  # the folder of the run that it is measured beside, if any
    certificate: Certificate | None = None  # of this machine, when the run began
    between_runs: dict[str, BetweenRuns] = {}  # by cell id: known when this run began
    # SHA-256 by path: models, samples and the source of plug-ins; empty in earlier versions.
    files: dict[str, str] = {}
    source: str = ""  # the suite's file, as it was named; empty for a suite that a program made


class Record(msgspec.Struct, frozen=True):
    """The outcome of one cell, computed from its lines.

    `status` is `ok` if all jobs were, else that of the first that was not; it is `incomplete` if
    jobs are missing, because the run was stopped. `latencies_s` has an entry for each measuring
    process, by round, and `stages_s` one for each inspecting process: seconds by row of its
    breakdown. `values` are those of other metrics, one of each process in order: the median of its
    samples; `by_round` has them of measuring processes, by metric and round. `metrics`
    defines those that are not in perfsuite's table. `accuracies` are those by all metrics of the
    task, the main one first; there are none without labelled samples. `uncounted` are operators
    that may compute and have no formula: with any, the MACs are only those of the others.
    `likeness` is how alike the answers are to those of fp32, empty where no pass changed any, and
    `int8_share` which part of the MACs ran in 8 bits, None where none were to; `float_shares` has
    the other parts by operator, those inside of loops and branches under these.
    `input_shapes` are those of the timed calls, empty in runs that did not tell; they are `made_up`
    where nobody gave samples. `left` are the layers that a pass on the graph left as they were, as
    in float, and why; what passes on the module left stands in `widths`.
    """

    cell: Cell
    status: Literal["ok", "failed", "unsupported", "unavailable", "incomplete"]
    latencies_s: dict[int, tuple[float, ...]]
    values: dict[str, tuple[float, ...]]
    evidence: Evidence | None
    labels: tuple[str, ...]
    error: Failure | None
    artifact: str = ""
    breakdown: Breakdown | None = None  # of the first inspecting process
    roofline: Roofline | None = None
    stages_s: dict[int, dict[str, float]] = {}
    slices: dict[int, Slices] = {}  # of the latencies, by round; none where nothing took turns
    parts: dict[int, tuple[Part, ...]] = {}  # by round; of a reference, where memory was short
    widths: tuple[LayerWidth, ...] = ()
    replaced: Replacement | None = None
    metrics: tuple[Metric, ...] = ()
    accuracies: tuple[Accuracy, ...] = ()
    device: DeviceIdentity | None = None  # that it was done on, by the first line that tells
    uncounted: dict[str, int] = {}
    by_round: dict[str, dict[int, float]] = {}
    input_shapes: InputShapes = {}
    made_up: bool = False
    likeness: tuple[Likeness, ...] = ()
    int8_share: float | None = None
    float_shares: dict[str, float] = {}
    left: dict[str, str] = {}
    looks: Looks | None = None  # the run's plan, from which intervals follow; None: a fixed number

    @property
    def least_like(self) -> Likeness | None:
        """Return the output whose answers are least like those of fp32, if any was compared."""
        compared = [one for one in self.likeness if one.cosine is not None]
        return min(compared, key=lambda one: one.cosine or 0.0, default=None)

    @property
    def accuracy(self) -> Accuracy | None:
        """Return the accuracy by the task's main metric, if it was evaluated."""
        return self.accuracies[0] if self.accuracies else None

    def accuracy_by(self, metric: str) -> Accuracy | None:
        """Return the accuracy by `metric`, if the task has it and it was evaluated."""
        return next((one for one in self.accuracies if one.metric == metric), None)


class Run(msgspec.Struct, frozen=True):
    """A stored run, read: its header, its records by cell id, and warnings from reading it.

    `beside` holds, by cell id, what was measured of the baseline's artifacts in the rounds of this
    run; without an artifact its status is `unavailable`, with the reason. `again` holds the rounds
    in which cells whose change looked like a regression were measured a second time, as a run of
    these cells alone.
    `measured_s` were spent on its rounds, and in `again` on those of both.
    """

    header: Header
    records: dict[str, Record]
    warnings: tuple[str, ...] = ()
    beside: dict[str, Record] = {}
    again: Run | None = None
    measured_s: float = 0.0
