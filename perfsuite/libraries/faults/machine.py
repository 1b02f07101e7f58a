"""Faults of the machine and its settings: threads and the clock."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from perfsuite.domain.finding import Finding
from perfsuite.domain.record import EvidenceItem
from perfsuite.libraries.facts import Facts, listed
from perfsuite.libraries.settings import BINDINGS

MACHINE = "machine"
NOT_SEEN = "libraries-not-seen"
# An engine's own count of threads; other items of this kind are of pools that libraries may use.
_OPENVINO = "INFERENCE_NUM_THREADS"
_ENGINES = ("intra-op", _OPENVINO)
_FEWER = (
    "look for torch.set_num_threads, or OMP_THREAD_LIMIT, in what the model imports and in the "
    "environment, and take it out; the suite's threads decide"
)
# It leaves out what it takes for the second thread of a core, or for a slower core.
_FEWER_BY_ITSELF = (
    "OpenVINO chooses the cores by itself (ENABLE_HYPER_THREADING, SCHEDULING_CORE_TYPE); compare "
    "engines with as many threads as it takes"
)
# With these drivers "powersave" is the normal governor, which follows the load.
_FOLLOWS_LOAD = ("intel_pstate", "amd-pstate-epp", "amd_pstate_epp")


def faults(facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with threads, the clock, and what is loaded before all else."""
    yield from _threads(facts)
    yield from _governor(facts)
    yield from _unloaded(facts)


def _unloaded(facts: Facts) -> Iterator[Finding]:
    """Yield what was to be loaded before all else and is not, and that nobody can see what is."""
    if seen := facts.said("libraries").get("none"):
        yield Finding(
            NOT_SEEN,
            MACHINE,
            seen,
            "mount proc(5) in the container, readable for this user; until then what is told of "
            "libraries rests on what computed alone",
            "observed",
            "caution",
        )
    if ignored := list(facts.said("preload")):
        yield Finding(
            "preload-ignored",
            MACHINE,
            f"LD_PRELOAD names {listed(ignored)}, which the system did not load: such a file is "
            f"missing, damaged, or of another architecture",
            "correct the path, install the library for this processor, or unset LD_PRELOAD",
            "observed",
            "caution",
        )


def _threads(facts: Facts) -> Iterator[Finding]:
    cores = facts.usable_cores
    counts = [
        (item, int(item.value))
        for item in facts.evidence.items
        if item.about == "threads" and item.value.isdigit()
    ]
    engine = [(item, count) for item, count in counts if item.name in _ENGINES]
    pools = [(item, count) for item, count in counts if item.name[:1].isupper()]
    watched = engine if facts.runtime else [one for one in pools if one not in engine]
    for name, (item, told) in {item.name: (item, count) for item, count in watched}.items():
        whose = facts.runtime or name
        count = min(told, _openmps_limit(facts))
        if count > cores:
            yield Finding(
                "too-many-threads",
                whose,
                f"{whose} computes with {count} threads, and {_cores(facts)}: they wait for each "
                f"other",
                _more(facts),
                item.how,
            )
        elif facts.runtime and count < min(facts.threads, cores):
            yield Finding(
                "too-few-threads",
                whose,
                f"{whose} computes with {count} {_threads_word(count)}, {facts.threads} were asked "
                f"for",
                _fewer(item, count < told),
                item.how,
                "caution" if item.name == _OPENVINO else "fault",
            )
        elif not facts.runtime and count < cores:
            yield from _limited(facts, item, count)


def _openmps_limit(facts: Facts) -> int:
    """Return how many threads OpenMP may have by the environment where PyTorch computes with it.

    PyTorch does not know of it, and tells how many it has asked for.
    """
    limit = facts.said("setting").get("OMP_THREAD_LIMIT", "")
    own = facts.runtime and facts.shows("PyTorch") and facts.shows("OpenMP")
    return int(limit) if own and limit.isdigit() and int(limit) else sys.maxsize


def _fewer(item: EvidenceItem, limited: bool) -> str:
    if item.name == _OPENVINO:
        return _FEWER_BY_ITSELF
    return "unset OMP_THREAD_LIMIT" if limited else _FEWER


def _limited(facts: Facts, item: EvidenceItem, count: int) -> Iterator[Finding]:
    """Yield the caution that threads which the environment sets leave cores idle.

    Where it sets none, it is the library's own limit, which nobody can change.
    """
    by = [
        f"{name}={value}"
        for name, value in facts.said("setting").items()
        if name.endswith(("_NUM_THREADS", "_THREAD_LIMIT")) and value.isdigit()
    ]
    by = [one for one in by if int(one.rpartition("=")[2]) <= count]
    if not by:
        return
    yield Finding(
        "too-few-threads",
        item.name,
        f"{item.name} computes with {count} {_threads_word(count)}, and {_cores(facts)}: the "
        f"environment has {listed(by)}",
        f"unset {by[0].partition('=')[0]}, or set it to {facts.usable_cores}",
        item.how,
        "caution",
    )


def _more(facts: Facts) -> str:
    cores = facts.usable_cores
    if bound := _bindings(facts):
        return f"unset what binds the threads of OpenMP to cores: {listed(bound)}"
    if facts.runtime and facts.threads > cores:
        return f"ask for {cores} (threads = {cores} in the suite, --threads {cores})"
    if facts.runtime:
        return (
            f"look for torch.set_num_threads in what the model imports, and take it out; else set "
            f"OMP_NUM_THREADS={cores}"
        )
    return f"set OMP_NUM_THREADS={cores} and OPENBLAS_NUM_THREADS={cores}, as by `docker run -e`"


def _bindings(facts: Facts) -> list[str]:
    """Return the variables that bind threads, where cores are few because of no container."""
    machine = facts.environment.must_match
    if machine.usable_cores > facts.usable_cores:
        return []
    said = facts.said("setting")
    return [f"{name}={said[name]}" for name in BINDINGS if name in said]


def _cores(facts: Facts) -> str:
    machine, cores = facts.environment.must_match, facts.usable_cores
    if machine.quota_cores is not None and machine.quota_cores < machine.usable_cores:
        return f"the container may use {machine.quota_cores:g} cores"
    return "1 core is usable" if cores == 1 else f"{cores} cores are usable"


def _threads_word(count: int) -> str:
    return "thread" if count == 1 else "threads"


def _governor(facts: Facts) -> Iterator[Finding]:
    context = facts.environment.context
    governor, driver = context.get("governor", ""), context.get("frequency_driver", "")
    prefers = context.get("energy_preference", "")
    saves = "powersave" if governor == "powersave" and driver not in _FOLLOWS_LOAD else ""
    if saves:
        yield Finding(
            "power-saving-governor",
            MACHINE,
            "the processor's clock is kept at its lowest: the frequency governor is 'powersave'"
            + (f" of the driver {driver}" if driver else ""),
            "sudo cpupower frequency-set -g performance (or schedutil)",
            "observed",
            "fault" if driver else "caution",
        )
    elif prefers == "power":
        yield Finding(
            "power-saving-governor",
            MACHINE,
            "the processor prefers saving power to speed: its energy preference is 'power'",
            "echo balance_performance | sudo tee "
            "/sys/devices/system/cpu/cpufreq/policy*/energy_performance_preference",
            "observed",
            "caution",
        )
