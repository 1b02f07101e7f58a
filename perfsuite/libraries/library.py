"""What a library is: how it shows in a process."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from perfsuite.domain.instruction_sets import BASELINE, named
from perfsuite.domain.record import EvidenceItem
from perfsuite.libraries.mapped import (
    module_version,
    observed,
    package_version,
    thread_pools,
    torch_build,
)


@dataclass(frozen=True)
class Library:
    """How a library shows: a function from the mapped shared objects to items of evidence.

    `files` matches the beginning of its files' names. Versions come from the Python `module` that
    brings it, if that is imported, and from what torch says that it was built with; there `build`
    and `level` match, with one group, a version and an instruction set. `pools` is threadpoolctl's
    name for its threads. `inside` maps the beginning of others' file names to what they are called,
    and to the module that has their version: they hold the library without a file of its own.
    `file_level` matches, with one group, the name of an instruction set in those of its files that
    are loaded for a processor that has it. `packages` are names of packages that bring the files,
    of which the first has the version.
    """

    title: str
    files: str
    module: str = ""
    build: str = ""
    level: str = ""
    pools: str = ""
    inside: dict[str, tuple[str, str]] = field(default_factory=dict)
    file_level: str = ""
    packages: tuple[str, ...] = ()

    def __call__(self, objects: Sequence[str]) -> Iterator[EvidenceItem]:
        """Yield what shows of it: files observed, versions and threads reported."""
        found = list(observed(self.title, self.files, objects))
        yield from found
        if self.module and found:
            yield from module_version(self.title, self.module)
        if found:
            yield from package_version(self.title, self.packages)
        if self.build and (version := re.search(self.build, torch_build())):
            yield EvidenceItem("reported", "library", self.title, "inside PyTorch")
            yield EvidenceItem("reported", "version", self.title, f"{version[1]} inside PyTorch")
        if self.level and found and (level := re.search(self.level, torch_build())):
            value = named(level[1]) or BASELINE
            yield EvidenceItem("reported", "instruction set", self.title, value)
        if self.file_level:
            yield from _levels(self.title, self.file_level, objects)
        if self.pools:
            yield from thread_pools(self.title, self.pools)
        for beginning, (whose, module) in self.inside.items():
            if any(name.startswith(beginning) for name in objects):
                yield EvidenceItem("inferred", "library", self.title, f"inside {whose}")
                for item in module_version(whose, module):  # it has no version of its own
                    value = f"inside {whose} {item.value.partition('-')[0]}"
                    yield EvidenceItem("reported", "version", self.title, value)


def _levels(title: str, pattern: str, objects: Sequence[str]) -> Iterator[EvidenceItem]:
    for file in objects:
        if found := re.match(pattern, file):
            value = named(found[1]) or BASELINE
            yield EvidenceItem("observed", "instruction set", title, value)
