"""The passes of a recipe, made from their configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from perfsuite.domain.recipe import (
    OLD_RUNTIME_FIELD,
    STUDENT_FIELD,
    PassUse,
    Target,
    is_graph_pass,
)
from perfsuite.domain.runtime import Runtime
from perfsuite.domain.task import Task
from perfsuite.errors import BuildError, ConfigError, Unsupported
from perfsuite.plugins import source_digest
from perfsuite.runner.build.pass_samples import require_left
from perfsuite.runner.job import Job
from perfsuite.store.cache import key_of
from perfsuite.user_code import require_type, user_code


@dataclass(frozen=True)
class Step:
    """One pass of the recipe, made from its configuration."""

    use: PassUse
    pass_: Any  # a ModelPass or a GraphPass; `is_graph` tells which
    label: str = ""  # of the cell, where the task has decided what the pass left open

    @property
    def is_graph(self) -> bool:
        return is_graph_pass(self.pass_)

    @property
    def name(self) -> str:
        """Return the pass's name without the file that it is in."""
        return self.use.use.rpartition(":")[2]

    def settled(self, task: Task) -> Step:
        """Return the step with what its pass lets a task decide, before any key is made of it."""
        settle = getattr(self.pass_, "settled", None)
        if settle is None:
            return self
        pass_, label = settle(trains=task.trains)
        return replace(self, pass_=pass_, label=label)

    def key(self, parent: str, data: str, target: Target) -> str:
        """Return the key of this step's result; `data` is the key of all samples it may see."""
        with user_code(f"{self.use.use}: its version"):
            version = str(self.pass_.version)
        return key_of(
            parent,
            data,
            self.name,
            source_digest("pass", self.use.use),
            version,
            _configuration(self.pass_),
            self.resolved(target),
            *(source_digest(kind, named) for kind, named in self.use.plug_ins[1:]),
        )

    def resolved(self, target: Target) -> str:
        """Return what the pass says that its result owes to `target`; raise what it raises."""
        whose = f"{self.use.use}: its resolve()"
        with user_code(whose):
            owed = self.pass_.resolve(target)
        return require_type(owed, str, whose, "a text")


@contextmanager
def told_after(names: Iterable[str]) -> Iterator[None]:
    """Say in refusals within the context after which passes they are: of what those have made."""
    before = ", ".join(names)
    try:
        yield
    except (ConfigError, Unsupported, BuildError) as error:
        if not before:
            raise
        kinds = (ConfigError, Unsupported, BuildError)
        kind = next(one for one in kinds if isinstance(error, one))
        raise kind(f"after {before}: {error}") from error


def _configuration(pass_: Any) -> bytes:
    """Return a pass's fields as JSON, sorted by name.

    `runtime` is encoded under its former name, `engine`, and what its class lists as `added` is
    left out where it is as by default, so that keys do not change: hours of training are stored
    under them. Of a user's `student` only the name is, wherever its file lies.
    """
    added = getattr(pass_, "added", ())
    if not {"runtime", STUDENT_FIELD} & set(pass_.__struct_fields__) and not added:
        return msgspec.json.encode(pass_, order="sorted")
    defaults = {one.name: one.default for one in msgspec.structs.fields(type(pass_))}
    fields = {
        OLD_RUNTIME_FIELD if name == "runtime" else name: getattr(pass_, name)
        for name in pass_.__struct_fields__
        if name not in added or getattr(pass_, name) != defaults[name]
    }
    if isinstance(named := fields.get(STUDENT_FIELD), str) and ".py:" in named:
        fields[STUDENT_FIELD] = named.rpartition(":")[2]
    return msgspec.json.encode(fields, order="sorted")


def steps_of(job: Job, runtime: Runtime) -> list[Step]:
    """Return the recipe's passes; raise `Unsupported` where this engine cannot run them."""
    from perfsuite.config.checking import make_pass
    from perfsuite.config.refusals import refused_by

    uses = job.recipe.passes
    steps = [
        Step(use, make_pass(use, f"recipes.{job.recipe.name}.passes[{index}]"))
        for index, use in enumerate(uses)
    ]
    for step in steps:
        if why := refused_by(runtime, step.use.use, step.pass_):
            raise Unsupported(why)
        only = getattr(step.pass_, "runtimes", ())
        if only and job.cell.runtime not in only:
            raise Unsupported(
                f"{step.use.use} on {runtime.name}: this engine has no kernel for it; "
                f"{', '.join(only)} have"
            )
        # Before anything is found in the cache, where the same may lie without samples held out.
        asked = getattr(step.pass_, "calibrates", 0)
        require_left(job, asked, f"recipes.{job.recipe.name}: {step.use.use}")
    return steps
