"""The environment from fixture files that look like those of real machines."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
import threading
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import msgspec
import pytest

import perfsuite
from perfsuite.domain.environment import Environment
from perfsuite.measure.environment import (
    environment,
    groups_of,
    quota_cores,
    usable_threads,
)
from perfsuite.processor import read_processor

INTEL = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum 8488C
stepping\t: 8
microcode\t: 0x2b000603
flags\t\t: fpu sse4_1 avx2 fma avx512f avx512_vnni avx_vnni amx_int8 amx_bf16 avx512_bf16
bugs\t\t: spectre_v1

processor\t: 1
vendor_id\t: GenuineIntel
model\t\t: 1
flags\t\t: something_else
"""
AMD = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 1
model name\t: AMD EPYC 7R13 Processor
stepping\t: 1
flags\t\t: vme sse4_2 avx2 fpu
"""
ARM = """\
processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd asimddp sve
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: 0xd40
CPU revision\t: 1
"""


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 5}, raising=False)


def made(tmp_path: Path, cpuinfo: str) -> Environment:
    proc = write(
        tmp_path / "proc",
        {
            "cpuinfo": cpuinfo,
            "meminfo": "MemTotal:       16384 kB\nMemFree:  100 kB\n",
            "loadavg": "0.52 0.58 0.59 1/467 12345\n",
        },
    )
    sizes = [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "2048K")]
    files = {
        f"index{i}/{name}": value + "\n"
        for i, cache in enumerate([*sizes, ("3", "Unified", "105M")])
        for name, value in zip(("level", "type", "size"), cache, strict=True)
    }
    write(tmp_path / "sys/devices/system/cpu/cpu0/cache", files)
    write(
        tmp_path / "sys/devices/system/cpu",
        {"cpu0/cpufreq/scaling_governor": "performance\n", "intel_pstate/no_turbo": "0\n"},
    )
    return environment(proc=proc, sys=tmp_path / "sys")


@pytest.mark.usefixtures("two_cores")
def test_intel(tmp_path: Path) -> None:
    got = made(tmp_path, INTEL)
    must = got.must_match
    assert must.processor == "GenuineIntel Intel(R) Xeon(R) Platinum 8488C"
    assert (must.family, must.model, must.stepping) == (6, 143, 8)
    assert must.flags[:3] == ("amx_bf16", "amx_int8", "avx2")
    assert must.flags == tuple(sorted(must.flags))
    assert must.caches_bytes == {
        "L1d": 48 * 1024,
        "L1i": 32 * 1024,
        "L2": 2 * 1024**2,
        "L3": 105 * 1024**2,
    }
    assert (must.usable_cores, must.quota_cores) == (2, None)
    assert got.context["memory_bytes"] == str(16 * 1024**2)
    assert got.context["load_average"] == "0.52"
    assert got.context["governor"] == "performance"
    assert got.context["boost"] == "1"
    assert got.subject["python"] == platform.python_version()
    assert {"perfsuite", "numpy"} <= set(got.subject)


def test_amd(tmp_path: Path) -> None:
    must = made(tmp_path, AMD).must_match
    assert must.processor == "AuthenticAMD AMD EPYC 7R13 Processor"
    assert (must.family, must.model, must.stepping) == (25, 1, 1)
    assert must.flags == ("avx2", "fpu", "sse4_2", "vme")


def test_arm_says_numbers_instead_of_names(tmp_path: Path) -> None:
    must = made(tmp_path, ARM).must_match
    assert must.processor == "implementer 0x41 part 0xd40"
    assert (must.family, must.model, must.stepping) == (8, 0xD40, 1)
    assert must.flags == ("asimd", "asimddp", "fp", "sve")


def test_features(tmp_path: Path) -> None:
    write(tmp_path, {"cpuinfo": INTEL})
    expected = {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_int8", "amx_bf16"}
    got = read_processor(proc=tmp_path).features
    assert expected <= set(got)
    assert not {"fpu", "something_else"} & set(got)


def test_a_system_without_proc_and_sys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    got = environment(proc=tmp_path / "no", sys=tmp_path / "no")
    must = got.must_match
    assert (must.processor, must.family, must.flags, must.caches_bytes) == ("arm", -1, (), {})
    assert (must.usable_cores, must.quota_cores) == (8, None)
    assert set(got.context) == {"system", "kernel", "machine"}
    assert read_processor(proc=tmp_path / "no").features == ()


V1 = "4:memory:/a\n2:cpu,cpuacct:/docker/abc\n1:cpuset:/docker/abc\n"


@pytest.mark.parametrize(
    ("cgroup", "files", "cores"),
    [
        ("0::/\n", {"cpu.max": "max 100000"}, None),
        ("0::/\n", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, 0.5),
        ("0::/a/b\n", {"a/b/cpu.max": "100000 50000", "a/cpu.max": "400000 100000"}, 2.0),
        # The host's path, or one outside of the container: what is mounted is its own group.
        ("0::/kubepods/pod1\n", {"cpu.max": "300000 100000"}, 3.0),
        ("0::/../../other\n", {"cpu.max": "300000 100000"}, 3.0),
        ("0::/../other\n", {"cpu.max": "300000 100000", "../other/cpu.max": "100000 100000"}, 3.0),
        (
            V1,
            {
                "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "250000",
                "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000",
                "cpu,cpuacct/cpu.cfs_quota_us": "-1",
                "cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            2.5,
        ),
        (V1, {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1.0),
        (V1, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("1:cpuset:/\n", {"cpuset/cpu.cfs_quota_us": "1"}, None),
        ("", {}, None),
    ],
)
def test_quota(tmp_path: Path, cgroup: str, files: dict[str, str], cores: float | None) -> None:
    proc = write(tmp_path / "proc", {"self/cgroup": cgroup})
    write(tmp_path / "sys/fs/cgroup", {name: text + "\n" for name, text in files.items()})
    assert quota_cores(proc=proc, sys=tmp_path / "sys") == cores


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize(
    ("limit", "threads"),
    [("max", 2), ("150000", 2), ("100000", 1), ("20000", 1), ("800000", 2)],
)
def test_usable_threads(tmp_path: Path, limit: str, threads: int) -> None:
    proc = write(tmp_path / "proc", {"self/cgroup": "0::/\n"})
    write(tmp_path / "sys/fs/cgroup", {"cpu.max": f"{limit} 100000\n"})
    assert usable_threads(proc=proc, sys=tmp_path / "sys") == threads


def test_a_quota_is_read_from_where_it_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real machine's has no part in it."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    proc = write(tmp_path / "proc", {"self/cgroup": "0::/own\n"})
    write(tmp_path / "sys/fs/cgroup", {"own/cpu.max": "700000 100000\n"})
    assert usable_threads(proc=proc, sys=tmp_path / "sys") == 7
    assert environment(proc=proc, sys=tmp_path / "sys").must_match.quota_cores == 7.0


@pytest.mark.parametrize(
    "text", ["max 100000", "150000", "150000 0", "a b", "1 2 3", "-5 100000", "150000 x"]
)
def test_what_is_no_quota_is_no_limit(tmp_path: Path, text: str) -> None:
    proc = write(tmp_path / "proc", {"self/cgroup": "0::/\n"})
    write(tmp_path / "sys/fs/cgroup", {"cpu.max": text})
    assert quota_cores(proc=proc, sys=tmp_path / "sys") is None


def test_what_stands_in_the_place_of_the_groups_is_no_limit(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self/cgroup").write_bytes(b"\n\xff\xfe\n0:\nnonsense\n0::/\xff\n")
    assert quota_cores(proc=proc, sys=tmp_path) is None
    assert list(groups_of(proc)) == [("", "/\ufffd")]


def test_a_group_of_both_hierarchies_has_the_lowest_limit(tmp_path: Path) -> None:
    proc = write(
        tmp_path / "proc", {"self/cgroup": "3:cpuset:/c\n2:cpu:/one:two\n1:cpuacct:/d\n0::/two\n"}
    )
    files = {
        "cpu/one:two/cpu.cfs_quota_us": "300000\n",
        "cpu/one:two/cpu.cfs_period_us": "100000\n",
        "cpuset/c/cpu.cfs_quota_us": "1\n",
        "cpuset/c/cpu.cfs_period_us": "100000\n",
        "unified/two/cpu.max": "200000 100000\n",
    }
    write(tmp_path / "sys/fs/cgroup", files)
    assert quota_cores(proc=proc, sys=tmp_path / "sys") == 2.0
    (tmp_path / "sys/fs/cgroup/unified/two/cpu.max").unlink()
    assert quota_cores(proc=proc, sys=tmp_path / "sys") == 3.0


@pytest.mark.parametrize(
    ("files", "boost"),
    [
        ({"cpufreq/boost": "1\n"}, "1"),
        ({"cpufreq/boost": "0\n", "intel_pstate/no_turbo": "0\n"}, "0"),
        ({"intel_pstate/no_turbo": "1\n"}, "0"),
        ({"intel_pstate/no_turbo": "?\n"}, None),
        ({}, None),
    ],
)
def test_turbo_is_told_by_either_file(
    tmp_path: Path, files: dict[str, str], boost: str | None
) -> None:
    write(tmp_path / "sys/devices/system/cpu", files)
    got = environment(proc=tmp_path / "no", sys=tmp_path / "sys")
    assert got.context.get("boost") == boost


def test_all_that_is_told_beside_what_must_match(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "release", lambda: "6.1")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert made(tmp_path, INTEL).context == {
        "system": "Linux",
        "kernel": "6.1",
        "machine": "x86_64",
        "memory_bytes": str(16 * 1024**2),
        "load_average": "0.52",
        "governor": "performance",
        "boost": "1",
    }


def test_versions_are_those_of_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name in ("torch", "openvino"):
            raise PackageNotFoundError(name)
        return f"{name} 1"

    monkeypatch.setattr("perfsuite.measure.environment.version", version)
    names = ("numpy", "torchvision", "onnx", "onnxruntime")
    assert environment().subject == {
        "perfsuite": perfsuite.__version__,
        "python": platform.python_version(),
        **{name: f"{name} 1" for name in names},
    }


def test_a_system_that_does_not_know_its_cores_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert environment().must_match.usable_cores == 1


def test_this_machine_round_trips_and_names_no_host() -> None:
    got = environment()
    text = msgspec.json.encode(got)
    assert msgspec.json.decode(text, type=Environment) == got
    assert got.must_match.usable_cores >= usable_threads() >= 1
    host = socket.gethostname()
    facts = (*got.context.values(), *got.subject.values(), got.must_match.processor)
    assert len(host) < 3 or host not in facts


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from perfsuite.measure import accuracy, environment, latency, macs, metering;"
        "from perfsuite.measure.meters import memory;"
        "environment.environment();"
        "print([n for n in ('torch', 'onnx', 'onnxruntime', 'openvino') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_a_thread_that_is_bound_to_one_core_leaves_the_others_to_the_process() -> None:
    before, ended = os.sched_getaffinity(0), threading.Event()
    other = threading.Thread(target=ended.wait)
    other.start()
    try:
        os.sched_setaffinity(0, {min(before)})  # of the calling thread
        assert environment().must_match.usable_cores == len(before)
    finally:
        os.sched_setaffinity(0, before)
        ended.set()
        other.join()
