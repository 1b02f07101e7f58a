"""The libraries by name: how each shows in a process, and what can be seen of all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points

from perfsuite.domain.record import EvidenceItem
from perfsuite.errors import ConfigError
from perfsuite.libraries.mapped import (
    module_version,
    observed,
    shared_objects,
    thread_pools,
    torch_build,
)
from perfsuite.plugins import GROUPS
from perfsuite.user_code import user_code


@dataclass(frozen=True)
class Library:
    """How a library shows: a function from the mapped shared objects to items of evidence.

    `files` matches the beginning of its files' names. Versions come from the Python `module` that
    brings it, if that is imported, and from what torch says that it was built with; there `build`
    and `level` match, with one group, a version and an instruction set. `pools` is threadpoolctl's
    name for its threads. `inside` maps the beginning of others' file names to what they are called:
    they hold the library without a file of its own.
    """

    title: str
    files: str
    module: str = ""
    build: str = ""
    level: str = ""
    pools: str = ""
    inside: dict[str, str] = field(default_factory=dict)

    def __call__(self, objects: Sequence[str]) -> Iterator[EvidenceItem]:
        """Yield what shows of it: files observed, versions and threads reported."""
        found = list(observed(self.title, self.files, objects))
        yield from found
        if self.module and found:
            yield from module_version(self.title, self.module)
        if self.build and (version := re.search(self.build, torch_build())):
            yield EvidenceItem("reported", "version", self.title, f"{version[1]} inside PyTorch")
        if self.level and found and (level := re.search(self.level, torch_build())):
            yield EvidenceItem("reported", "instruction set", self.title, level[1])
        if self.pools:
            yield from thread_pools(self.title, self.pools)
        for beginning, whose in self.inside.items():
            if any(name.startswith(beginning) for name in objects):
                yield EvidenceItem("inferred", "library", self.title, f"inside {whose}")


LIBRARIES: dict[str, Callable[[Sequence[str]], Iterable[EvidenceItem]]] = {
    # Any PyTorch built for CUDA maps it, which does not mean that it runs.
    "cudnn": Library("cuDNN", r"libcudnn\."),
    "mkl": Library(
        "MKL", r"libmkl_(rt|core)\.", build=r"Math Kernel Library Version (\S+)", pools="mkl"
    ),
    "onednn": Library(
        "oneDNN",
        r"libdnnl\.|libmkldnn\.",
        build=r"MKL-DNN v(\S+)",
        inside={"libopenvino_intel_cpu_plugin.": "OpenVINO's CPU plug-in"},
    ),
    # Its own kernels (MLAS) are inside it.
    "onnxruntime": Library(
        "ONNX Runtime", r"onnxruntime_pybind11_state\.|libonnxruntime\.", module="onnxruntime"
    ),
    "openblas": Library("OpenBLAS", r"lib\w*openblas", pools="openblas"),
    # GNU's, LLVM's and Intel's: two different ones in a process compete for the cores.
    "openmp": Library("OpenMP", r"lib(gomp|omp|iomp5)[-.]", pools="openmp"),
    # Its plug-in for the processor is loaded only when it compiles a model.
    "openvino": Library("OpenVINO", r"libopenvino(_intel_cpu_plugin)?\.", module="openvino"),
    "pytorch": Library(
        "PyTorch", r"libtorch_cpu\.", module="torch", level=r"CPU capability usage: (\S+)"
    ),
    "tbb": Library("oneTBB", r"libtbb\."),
}


def loaded() -> tuple[EvidenceItem, ...]:
    """Return the libraries in this process: files as observed, versions and threads as reported.

    Files have no folder, so that no path of this machine is in the evidence. Libraries that
    installed packages know (entry points `perfsuite.libraries`) follow those of the table. Raises
    `ConfigError` where one of these fails.
    """
    objects = shared_objects()
    found = [item for library in LIBRARIES.values() for item in library(objects)]
    for point in entry_points(group=GROUPS["library"]):
        found += _found_by(point, objects)
    return tuple(found)


def _found_by(point: EntryPoint, objects: Sequence[str]) -> tuple[EvidenceItem, ...]:
    who = f"library '{point.name}'"
    with user_code(f"{who}: importing {point.value}", ConfigError):
        find = point.load()
    with user_code(f"{who}: looking for it", ConfigError):
        items = tuple(find(objects))
    if not all(isinstance(item, EvidenceItem) for item in items):
        raise ConfigError(f"{who} gives {items!r}; it must yield perfsuite.EvidenceItems")
    return items
