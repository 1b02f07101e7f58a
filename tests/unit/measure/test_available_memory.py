"""How much memory is left, by what the system says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perfsuite.measure.available_memory import available_bytes, peak_bytes_of

MB = 1024 * 1024


class System:
    """The files of a system."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.sys = folder / "proc", folder / "sys"

    def write(self, path: str, text: str) -> None:
        file = self.proc.parent / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def left(self) -> int | None:
        return available_bytes(proc=self.proc, sys=self.sys)


@pytest.fixture
def system(tmp_path: Path) -> System:
    made = System(tmp_path)
    made.write("proc/meminfo", "MemTotal:  9999999 kB\nMemAvailable:   1024000 kB\n")
    return made


def test_without_groups_it_is_what_the_machine_has_left(system: System) -> None:
    assert system.left() == 1000 * MB


def test_it_is_not_known_where_nothing_tells(tmp_path: Path) -> None:
    assert System(tmp_path).left() is None


def test_the_least_of_the_limits_above_counts(system: System) -> None:
    system.write("proc/self/cgroup", "1:cpu:/a\n0::/a/b\n")
    system.write("sys/fs/cgroup/a/b/memory.max", "max\n")
    system.write("sys/fs/cgroup/a/b/memory.current", f"{1 * MB}\n")
    assert system.left() == 1000 * MB
    system.write("sys/fs/cgroup/a/memory.max", f"{500 * MB}\n")
    system.write("sys/fs/cgroup/a/memory.current", f"{300 * MB}\n")
    assert system.left() == 200 * MB
    # What was read from files and is not in use can be dropped.
    system.write("sys/fs/cgroup/a/memory.stat", f"anon 7\ninactive_file {50 * MB}\n")
    assert system.left() == 250 * MB
    system.write("sys/fs/cgroup/memory.max", f"{100 * MB}\n")
    system.write("sys/fs/cgroup/memory.current", f"{130 * MB}\n")
    assert system.left() == 0


def test_groups_of_the_first_version(system: System) -> None:
    system.write("proc/self/cgroup", "5:memory:/a\n4:cpu,cpuacct:/a\n0::/\n")
    system.write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", f"{600 * MB}\n")
    system.write("sys/fs/cgroup/memory/a/memory.usage_in_bytes", f"{400 * MB}\n")
    system.write("sys/fs/cgroup/memory/a/memory.stat", f"total_inactive_file {10 * MB}\n")
    assert system.left() == 210 * MB


def test_the_peak_of_a_process(system: System) -> None:
    system.write("proc/7/status", "Name: x\nVmHWM:   2048 kB\nVmRSS:   1024 kB\n")
    assert peak_bytes_of(7, proc=system.proc) == 2 * MB
    assert peak_bytes_of(8, proc=system.proc) == 0
    assert peak_bytes_of(os.getpid()) > 10 * MB
