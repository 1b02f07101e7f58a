"""Every plug-in of the tables meets the contract of `perfsuite.testing`."""

from __future__ import annotations

import pytest
from small_passes import small_pass, small_workload_of

from perfsuite.errors import Unavailable, Unsupported
from perfsuite.passes.table import PASSES
from perfsuite.runtimes.table import RUNTIMES
from perfsuite.testing import check_pass, check_runtime, check_workload
from perfsuite.workloads.table import WORKLOADS
from perfsuite.workloads.zoo.train import RECIPES
from perfsuite.workloads.zoo.weights import FOLDER

# Each takes more than ten seconds.
LONG = dict.fromkeys(
    ("faster-rcnn-resnet101", "whale-id", "whale-id-plain", "vehicle-type"), pytest.mark.verify
)


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=LONG.get(one, ())) for one in sorted(WORKLOADS)]
)
def test_workload(name: str) -> None:
    workload = WORKLOADS[name]()
    assert workload.name == name
    try:
        check_workload(workload)
    except Unavailable as missing:  # CIFAR-10 or the blood cells; the weights are in the package
        pytest.skip(str(missing))


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_what_can_be_trained_ships_with_its_card(name: str) -> None:
    assert (FOLDER / f"{name}.safetensors").is_file()
    card = (FOLDER / f"{name}.md").read_text()
    assert f"python -m perfsuite.workloads.zoo.train {name}`" in card


@pytest.mark.parametrize("name", sorted(PASSES))
def test_pass(name: str) -> None:
    check_pass(small_pass(name), small_workload_of(name))


# The other contract tests compile a net, too; that takes seconds each time.
SLOW = {"torch-compile": pytest.mark.verify}


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=SLOW.get(one, ())) for one in sorted(RUNTIMES)]
)
def test_runtime(name: str) -> None:
    runtime = RUNTIMES[name]()
    assert runtime.name == name
    try:
        check_runtime(runtime)
    except Unavailable as missing:  # the engine, or the device that it is for
        pytest.skip(str(missing).partition("\n")[0])
    except Unsupported as refusal:  # the contract's net has no binary convolution
        assert name == "perfsuite-binary" and "pass binarize" in str(refusal)
