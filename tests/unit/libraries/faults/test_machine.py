"""Threads beside the cores that may be used, and the governor of the clock."""

from __future__ import annotations

import pytest
from made_up_facts import found, item


def test_more_threads_than_cores() -> None:
    one = found(item("threads", "intra-op", "8"), runtime="onnxruntime", threads=8)
    assert one["too-many-threads"].severity == "fault"
    assert "8 threads" in one["too-many-threads"].message
    assert "2 cores are usable" in one["too-many-threads"].message
    assert "threads = 2" in one["too-many-threads"].fix


def test_more_threads_than_the_containers_quota() -> None:
    pool = item("threads", "OpenMP", "64")
    one = found(pool, cores=64, quota=1.5)["too-many-threads"]
    assert "the container may use 1.5 cores" in one.message
    assert "OMP_NUM_THREADS=2" in one.fix


def test_a_model_that_sets_more_threads_than_were_asked_for() -> None:
    one = found(item("threads", "intra-op", "8"), runtime="pytorch", threads=2)["too-many-threads"]
    assert "torch.set_num_threads" in one.fix


def test_fewer_threads_than_were_asked_for() -> None:
    one = found(item("threads", "intra-op", "1"), runtime="pytorch", threads=2)["too-few-threads"]
    assert one.severity == "fault" and "1 thread, 2 were asked for" in one.message


def test_a_variable_that_leaves_cores_idle_is_named() -> None:
    items = (item("threads", "OpenMP", "1"), item("setting", "OMP_NUM_THREADS", "1"))
    one = found(*items)["too-few-threads"]
    assert one.severity == "caution" and one.fix.startswith("unset OMP_NUM_THREADS")


def test_fewer_threads_by_openvinos_own_choice_are_a_caution() -> None:
    items = item("threads", "INFERENCE_NUM_THREADS", "4")
    one = found(items, cores=8, runtime="openvino", threads=8)["too-few-threads"]
    assert one.severity == "caution" and "ENABLE_HYPER_THREADING" in one.fix


def test_a_librarys_own_limit_is_no_fault() -> None:
    """OpenBLAS in NumPy's wheels has 64 threads at most."""
    assert found(item("threads", "OpenBLAS", "64"), cores=128) == {}
    limited = (item("threads", "OpenBLAS", "64"), item("setting", "OMP_NUM_THREADS", "128"))
    assert found(*limited, cores=128) == {}


@pytest.mark.parametrize(
    ("count", "asked", "runtime"),
    [
        ("1", 1, "pytorch"),  # one thread on purpose
        ("2", 2, "pytorch"),
        ("2", 8, "openvino"),  # which takes no more than there are
        ("2", 0, ""),
    ],
)
def test_as_many_as_were_asked_for_or_as_there_are(count: str, asked: int, runtime: str) -> None:
    name = "INFERENCE_NUM_THREADS" if runtime else "OpenMP"
    assert found(item("threads", name, count), runtime=runtime, threads=asked) == {}


def test_pools_that_the_engine_does_not_use_and_streams_are_no_threads_of_it() -> None:
    others = (item("threads", "OpenBLAS", "1"), item("threads", "NUM_STREAMS", "1"))
    assert found(*others, runtime="openvino", threads=2) == {}


@pytest.mark.parametrize(
    ("context", "severity"),
    [
        ({"governor": "powersave", "frequency_driver": "acpi-cpufreq"}, "fault"),
        ({"governor": "powersave", "frequency_driver": "intel_cpufreq"}, "fault"),
        ({"governor": "powersave"}, "caution"),
        (
            {
                "governor": "powersave",
                "frequency_driver": "intel_pstate",
                "energy_preference": "power",
            },
            "caution",
        ),
    ],
)
def test_a_clock_that_saves_power(context: dict[str, str], severity: str) -> None:
    one = found(context=context)["power-saving-governor"]
    assert (one.severity, one.about) == (severity, "machine")


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"governor": "performance"},
        {"governor": "schedutil", "frequency_driver": "acpi-cpufreq"},
        {"governor": "powersave", "frequency_driver": "intel_pstate"},  # which follows the load
        {
            "governor": "powersave",
            "frequency_driver": "amd-pstate-epp",
            "energy_preference": "balance_performance",
        },
    ],
)
def test_usual_clocks_are_sound(context: dict[str, str]) -> None:
    assert found(context=context) == {}


def test_a_preloaded_file_that_the_system_did_not_load_is_named() -> None:
    one = found(item("preload", "libjemalloc.so.2", "not loaded"))["preload-ignored"]
    assert one.severity == "caution" and "libjemalloc.so.2" in one.message
    assert "LD_PRELOAD" in one.fix


def test_a_limit_that_pytorch_does_not_know_of() -> None:
    items = (
        item("threads", "intra-op", "2"),
        item("setting", "OMP_THREAD_LIMIT", "1"),
        item("library", "OpenMP", "libgomp.so.1"),
        item("library", "PyTorch", "libtorch_cpu.so"),
    )
    one = found(*items, runtime="pytorch", threads=2)["too-few-threads"]
    assert "1 thread, 2 were asked for" in one.message and one.fix == "unset OMP_THREAD_LIMIT"
    assert found(*items[:2], runtime="onnxruntime", threads=2) == {}, "it has threads of its own"
    assert found(*items[:1], *items[2:], runtime="pytorch", threads=2) == {}


def test_threads_that_are_bound_to_one_core_are_to_be_unbound() -> None:
    items = (item("threads", "intra-op", "2"), item("setting", "GOMP_CPU_AFFINITY", "0"))
    one = found(*items, cores=1, runtime="pytorch", threads=2)["too-many-threads"]
    assert "1 core is usable" in one.message and one.fix.endswith("GOMP_CPU_AFFINITY=0")
    one = found(*items, cores=2, quota=1.0, runtime="pytorch", threads=2)["too-many-threads"]
    assert "threads = 1" in one.fix, "it is the container that allows no more"


def test_where_loaded_files_cannot_be_seen_that_is_told() -> None:
    one = found(item("libraries", "none", "maps cannot be read"))["libraries-not-seen"]
    assert (one.severity, one.message) == ("caution", "maps cannot be read")
