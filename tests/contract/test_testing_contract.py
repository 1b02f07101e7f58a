"""Every plug-in of the tables meets the contract of `perfsuite.testing`."""

from __future__ import annotations

import pytest

from perfsuite.config.checking import make_pass
from perfsuite.data import cifar10
from perfsuite.domain.recipe import PassUse
from perfsuite.errors import Unavailable
from perfsuite.passes.table import PASSES
from perfsuite.runtimes.table import RUNTIMES
from perfsuite.testing import check_pass, check_runtime, check_workload
from perfsuite.workloads.table import WORKLOADS
from perfsuite.workloads.weights import FOLDER


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_workload(name: str) -> None:
    if name.endswith("-cifar10"):
        if not cifar10.is_there():
            pytest.skip("CIFAR-10 is not here; run: perfsuite data get cifar10")
        if not (FOLDER / f"{name}.safetensors").is_file():
            pytest.skip(f"there are no weights for {name}")
    workload = WORKLOADS[name]()
    assert workload.name == name
    check_workload(workload)


@pytest.mark.parametrize("name", sorted(PASSES))
def test_pass(name: str) -> None:
    check_pass(make_pass(PassUse(name)))


@pytest.mark.parametrize("name", sorted(RUNTIMES))
def test_runtime(name: str) -> None:
    runtime = RUNTIMES[name]()
    assert runtime.name == name
    try:
        runtime.probe()
    except Unavailable as missing:
        pytest.skip(str(missing))
    check_runtime(runtime)
