"""Make computer-vision models fast, and prove it.

The names of this package are loaded when they are first used: importing it loads neither torch nor
NumPy nor an engine. The verbs are those of the command line; `perfsuite.api` holds all but
`doctor`, `optimize` and `sensitivity`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "AdamPlan",
    "Batches",
    "Box",
    "Budget",
    "BuildError",
    "Cell",
    "Changeable",
    "ConfigError",
    "DeviceIdentity",
    "DiskFull",
    "Distill",
    "Edits",
    "Evaluate",
    "Evidence",
    "EvidenceItem",
    "Expect",
    "GraphPass",
    "Incomparable",
    "InputSpec",
    "Int8",
    "JudgedRun",
    "Judgement",
    "Look",
    "Lowrank",
    "Manifest",
    "Measure",
    "Meter",
    "Metric",
    "Model",
    "ModelPass",
    "ModuleProfile",
    "Optimized",
    "ParityError",
    "PassContext",
    "PerfsuiteError",
    "Preprocessing",
    "Prune",
    "QuantizedGraphs",
    "Recipe",
    "Record",
    "Require",
    "Run",
    "Runtime",
    "Said",
    "SchemaError",
    "Session",
    "SessionOptions",
    "SgdPlan",
    "Shown",
    "SilentFallback",
    "Stage",
    "SubsetMetric",
    "Suite",
    "Target",
    "Task",
    "TrainingSet",
    "Unavailable",
    "Unsupported",
    "Variant",
    "Verdict",
    "Workload",
    "ablate",
    "certify",
    "compare",
    "doctor",
    "gate",
    "get_data",
    "init",
    "listing",
    "optimize",
    "plan",
    "profile",
    "run",
    "sensitivity",
    "show",
]

# Where each name lives. The verb `report` stays in `perfsuite.api`: here it would be hidden by the
# package `perfsuite.report` as soon as that is imported.
_HOMES = {
    "ablation_run": ("ablate",),
    "api": (
        "certify",
        "compare",
        "gate",
        "get_data",
        "init",
        "listing",
        "plan",
        "profile",
        "run",
        "show",
    ),
    "config.python_suite": ("Recipe", "Suite"),
    "domain.cell": ("Cell",),
    "domain.device": ("DeviceIdentity", "QuantizedGraphs"),
    "domain.meter": ("Meter",),
    "domain.metrics": ("Metric",),
    "domain.model": ("InputSpec", "Model", "Stage"),
    "domain.pictures": ("Box", "Look", "Said", "Shown"),
    "domain.preprocessing": ("Preprocessing",),
    "domain.recipe": ("Edits", "GraphPass", "ModelPass", "PassContext", "Target"),
    "domain.record": ("Evidence", "EvidenceItem", "Record", "Run"),
    "domain.runtime": ("Manifest", "SessionOptions", "Runtime", "Session", "Variant"),
    "domain.judgement": ("Judgement",),
    "domain.sensitivity": ("Changeable",),
    "domain.suite": ("Budget", "Evaluate", "Expect", "Measure", "Require"),
    "domain.task": ("SubsetMetric", "Task", "TrainingSet"),
    "domain.verdict": ("Verdict",),
    "domain.workload": ("Workload",),
    "judged_run": ("JudgedRun",),
    "module_profile": ("ModuleProfile",),
    "passes.distill.distill": ("Distill",),
    "search.optimizing": ("Optimized", "optimize"),
    "passes.int8.int8": ("Int8",),
    "passes.lowrank.lowrank": ("Lowrank",),
    "passes.prune.prune": ("Prune",),
    "sensitivity_run": ("sensitivity",),
    "training.plan": ("AdamPlan", "SgdPlan"),
    "workloads.tasks.batches": ("Batches",),
    "doctor_run": ("doctor",),
    "errors": (
        "BuildError",
        "ConfigError",
        "DiskFull",
        "Incomparable",
        "ParityError",
        "PerfsuiteError",
        "SchemaError",
        "SilentFallback",
        "Unavailable",
        "Unsupported",
    ),
}
# Plug-ins written before these had their names go on working.
_RENAMED = {"Item": "EvidenceItem", "Opening": "SessionOptions"}
_HOME_OF = {name: f"perfsuite.{home}" for home, names in _HOMES.items() for name in names}

if TYPE_CHECKING:
    from perfsuite.ablation_run import ablate
    from perfsuite.api import (
        certify,
        compare,
        gate,
        get_data,
        init,
        listing,
        plan,
        profile,
        run,
        show,
    )
    from perfsuite.config.python_suite import Recipe, Suite
    from perfsuite.doctor_run import doctor
    from perfsuite.domain.cell import Cell
    from perfsuite.domain.device import DeviceIdentity, QuantizedGraphs
    from perfsuite.domain.judgement import Judgement
    from perfsuite.domain.meter import Meter
    from perfsuite.domain.metrics import Metric
    from perfsuite.domain.model import InputSpec, Model, Stage
    from perfsuite.domain.pictures import Box, Look, Said, Shown
    from perfsuite.domain.preprocessing import Preprocessing
    from perfsuite.domain.recipe import Edits, GraphPass, ModelPass, PassContext, Target
    from perfsuite.domain.record import Evidence, EvidenceItem, Record, Run
    from perfsuite.domain.runtime import Manifest, Runtime, Session, SessionOptions, Variant
    from perfsuite.domain.sensitivity import Changeable
    from perfsuite.domain.suite import Budget, Evaluate, Expect, Measure, Require
    from perfsuite.domain.task import SubsetMetric, Task, TrainingSet
    from perfsuite.domain.verdict import Verdict
    from perfsuite.domain.workload import Workload
    from perfsuite.errors import (
        BuildError,
        ConfigError,
        DiskFull,
        Incomparable,
        ParityError,
        PerfsuiteError,
        SchemaError,
        SilentFallback,
        Unavailable,
        Unsupported,
    )
    from perfsuite.judged_run import JudgedRun
    from perfsuite.module_profile import ModuleProfile
    from perfsuite.passes.distill.distill import Distill
    from perfsuite.passes.int8.int8 import Int8
    from perfsuite.passes.lowrank.lowrank import Lowrank
    from perfsuite.passes.prune.prune import Prune
    from perfsuite.search.optimizing import Optimized, optimize
    from perfsuite.sensitivity_run import sensitivity
    from perfsuite.training.plan import AdamPlan, SgdPlan
    from perfsuite.workloads.tasks.batches import Batches


def __getattr__(name: str) -> Any:
    """Return a public name, loaded now (PEP 562)."""
    if name in _RENAMED:
        return getattr(import_module(__name__), _RENAMED[name])
    if name not in _HOME_OF:
        raise AttributeError(f"module 'perfsuite' has no attribute '{name}'")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted([*__all__, "__version__"])
