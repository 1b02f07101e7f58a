"""The long proof of the detectors: engines answer as eager PyTorch does, also where nothing is.

They are opened as `benchmarks/stages.toml` measured them. BCCD is in the folder that
`PERFSUITE_BCCD` names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stages_run import DETECTORS, ENGINES, PARITY, RUNTIMES, SHUFFLENET, opened

from perfsuite.domain.model import InputSpec
from perfsuite.domain.record import Run
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.runner.build import artifacts
from perfsuite.workloads.table import load_workload

pytestmark = pytest.mark.verify

PICTURES = 50  # on which detections must be equal
BOXES, SCORES = 0.5, 1e-3  # pixels; of a score


@pytest.fixture(scope="module")
def photographs() -> list[Inputs]:
    """Return the first validation pictures of BCCD as the detector takes them."""
    from perfsuite.data import bccd
    from perfsuite.data.annotations import decoded

    task = load_workload(SHUFFLENET).task
    pictures = bccd.load("test").pictures[:PICTURES]
    assert len(pictures) == PICTURES
    return [task.from_picture(decoded(picture.path)) for picture in pictures]


@pytest.fixture(scope="module")
def detected(run: Run, photographs: list[Inputs]) -> list[Outputs]:
    """Return what eager PyTorch finds in them."""
    with opened(run, SHUFFLENET, "pytorch") as session:
        return [session.run(inputs) for inputs in photographs]


@pytest.mark.parametrize("runtime", ENGINES)
def test_engines_detect_what_eager_pytorch_detects(
    run: Run, runtime: str, photographs: list[Inputs], detected: list[Outputs]
) -> None:
    from perfsuite.workloads.tasks.detection import differences

    counted = sum(int((scores > 0).sum()) for _, _, scores in detected)
    assert counted > PICTURES, "a detector that finds nothing is always right"
    with opened(run, SHUFFLENET, runtime) as session:
        for index, (inputs, expected) in enumerate(zip(photographs, detected, strict=True)):
            found = differences(expected, session.run(inputs))
            assert found["unmatched"] == 0, index  # pairs have the same label
            assert found["boxes"] <= BOXES and found["scores"] <= SCORES, (index, found)


@pytest.fixture(scope="module")
def raw_heads(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Inputs, Outputs]:
    """Return the graph of the untrained detector's heads, an input for it, and eager's answer.

    The proposals are the detector's own for this picture, and fixed from here on.
    """
    from perfsuite.export.onnx import export_graph
    from perfsuite.models.untrained import heads_alone
    from perfsuite.runner.build.reference import module_outputs
    from perfsuite.workloads.zoo.faster_rcnn import Photographs, untrained_resnet101

    whole: Any = untrained_resnet101()
    picture = Photographs().inputs(1, 0)
    seen: list[np.ndarray] = []
    hook = whole.rpn.register_forward_hook(lambda *given: seen.append(given[2][0][0].numpy()))
    module_outputs(whole, picture)
    hook.remove()
    inputs = {**picture, "proposals": seen[0]}
    heads = heads_alone(whole)
    spec = tuple(InputSpec(name, str(one.dtype), one.shape) for name, one in inputs.items())
    graph = tmp_path_factory.mktemp("heads") / "heads.onnx"
    export_graph(heads, spec, inputs, graph)
    return graph, inputs, module_outputs(heads, inputs)


@pytest.mark.parametrize("runtime", ENGINES)
def test_the_untrained_detector_has_the_same_raw_heads_on_fixed_proposals(
    raw_heads: tuple[Path, Inputs, Outputs], runtime: str, tmp_path: Path
) -> None:
    from perfsuite.export.onnx import graph_spec, load_graph
    from perfsuite.export.parity import parity

    graph, inputs, expected = raw_heads
    assert len(inputs["proposals"]) == 300 and inputs["proposals"].any(axis=1).all()
    spec, names = graph_spec(load_graph(graph))
    engine = artifacts.load_runtime(runtime)
    manifest = Manifest(runtime, "cpu", "fp32", 1, spec, names, lossy=False, quantized=False)
    engine.build(Variant(graph, None, quantized=False), manifest, tmp_path)
    with engine.open(tmp_path, manifest, SessionOptions(1, 2)) as session:
        found = parity(expected, session.run(inputs), names, "fp32")
    assert max(found.values()) <= PARITY


@pytest.fixture(scope="module")
def nothing(run: Run) -> np.ndarray:
    """Return a picture of one grey in which the trained detector finds nothing, in eager mode."""
    task = load_workload(SHUFFLENET).task
    with opened(run, SHUFFLENET, "pytorch") as session:
        for grey in range(0, 256, 15):
            picture = np.full((480, 640, 3), grey, np.uint8)
            if not any(output.any() for output in session.run(task.from_picture(picture))):
                return picture
    raise AssertionError("the detector finds blood cells in pictures of one grey, whichever")


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("workload", DETECTORS)
def test_a_picture_without_any_object_works_on_every_engine(
    run: Run, workload: str, runtime: str, nothing: np.ndarray
) -> None:
    with opened(run, workload, runtime) as session:
        answer = session.run(load_workload(workload).task.from_picture(nothing))
    assert [output.shape for output in answer] == [(1, 100, 4), (1, 100), (1, 100)]
    assert all(np.isfinite(output).all() for output in answer)
    if workload == SHUFFLENET:  # random weights see things everywhere
        assert not any(output.any() for output in answer)
