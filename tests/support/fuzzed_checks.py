"""What must hold of a graph that was drawn: engines, int8, breakdowns, and who else rounds."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from fuzzed_graphs import graphs
from fuzzed_sequences import sequence_graphs
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from benchmarks.static_settings import static
from perfsuite.domain.model import InputSpec
from perfsuite.domain.recipe import PassContext, Target
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import PerfsuiteError
from perfsuite.export.nodes import graph_nodes
from perfsuite.measure.stages import breakdown
from perfsuite.passes.int8.int8 import Int8
from perfsuite.runtimes.table import RUNTIMES

ENGINES = ("onnxruntime", "openvino")
SAMPLES, TESTS = 16, 4
# In mean cosine, of one drawn graph calibrated with a few samples: how far int8 may be from fp32
# beyond quantize_static, and by what factor, since of two roundings one is the worse by chance.
BEHIND, FACTOR = 0.01, 2.0


def samples(model: onnx.ModelProto, count: int, seed: int) -> Inputs:
    """Return normal values of the shape that the graph takes."""
    (value,) = model.graph.input
    shape = [side.dim_value for side in value.type.tensor_type.shape.dim][1:]
    drawn = np.random.default_rng(seed).normal(0, 1, (count, *shape))
    return {value.name: drawn.astype(np.float32)}


def calibrated_with(model: onnx.ModelProto, count: int) -> Inputs:
    """Return samples of which the tests are the first, so that no test exceeds what was seen.

    Of a few normal values the largest of the next ones may be twice as large: rounding that cuts it
    off is no fault of anybody's.
    """
    tests, others = samples(model, TESTS, 2), samples(model, count, 1)
    return {name: np.concatenate([tests[name], others[name]])[:count] for name in tests}


def plain(model: onnx.ModelProto, inputs: Inputs) -> Outputs | None:
    """Return ONNX Runtime's answers without any optimization; None if it takes no such graph."""
    import onnxruntime as ort

    try:
        return _asked(model, inputs, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
    except Exception:  # noqa: BLE001 - not a graph that anybody could have
        return None


def _asked(model: onnx.ModelProto, inputs: Inputs, level: Any) -> Outputs:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = level
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, inputs))


def context(runtime: str, model: onnx.ModelProto) -> PassContext:
    def calibration(count: int) -> Iterator[Inputs]:
        yield calibrated_with(model, count)

    def refuse(*_: Any) -> Any:
        raise AssertionError("int8 neither trains nor times")

    quantized = RUNTIMES[runtime]().quantized_graphs("cpu")
    target = Target(runtime, "cpu", quantized=quantized)
    return PassContext(
        samples(model, 1, 0), calibration, refuse, target, Path("none"), lambda *_: None, refuse
    )


def answers(runtime: str, graph: onnx.ModelProto, quantized: bool) -> Outputs:
    """Return what an engine answers to four samples, its breakdown having been checked."""
    tests = samples(graph, TESTS, 2)
    specs = tuple(InputSpec(n, "float32", ("batch", *a.shape[1:])) for n, a in tests.items())
    names = tuple(value.name for value in graph.graph.output)
    with tempfile.TemporaryDirectory(prefix="perfsuite-") as name:
        folder = Path(name)
        path = folder / "drawn.onnx"
        onnx.save(graph, path)
        made = folder / "made"
        made.mkdir()
        engine = RUNTIMES[runtime]()
        manifest = Manifest(runtime, "cpu", "fp32", 1, specs, names, quantized, quantized)
        engine.build(Variant(path, None, quantized), manifest, made)
        with engine.open(made, manifest, SessionOptions(TESTS, 1, inspect=True)) as session:
            found = session.run(tests)
            session.evidence()
            profile = session.profile([tests], 2)
    check_breakdown(profile, graph, tests)
    return found


def check_breakdown(profile: Any, graph: onnx.ModelProto, tests: Inputs) -> None:
    """Every kernel is placed at nodes that the graph has, and the rows add up to the calls."""
    nodes = {node.name for node in graph.graph.node}
    for kernel in profile.kernels:
        assert {*kernel.origins, *kernel.neighbours} <= nodes, kernel
    found = breakdown(profile, graph_nodes(graph, tests), ())
    assert abs(sum(row.time_s for row in found.rows) - found.total_s) <= 1e-6 * found.total_s


def check(model: onnx.ModelProto, *, beside_static: bool = False) -> None:
    """Raise `AssertionError` if an engine or int8 makes of `model` what it must not.

    With `beside_static`, also if int8 is further from fp32 than quantize_static.
    """
    wanted = plain(model, samples(model, TESTS, 2))
    if wanted is None or not all(np.isfinite(one).all() for one in wanted):
        return
    rounded: dict[str, Outputs] = {}
    for runtime in ENGINES:
        try:
            found = answers(runtime, model, quantized=False)
        except PerfsuiteError as error:
            assert "perfsuite's" not in str(error), error
            continue
        for ours, theirs in zip(found, wanted, strict=True):
            largest = max(1e-3, float(np.abs(theirs).max()))
            assert np.abs(ours - theirs).max() <= 1e-3 * largest, f"{runtime} fp32"
        try:
            made = Int8(calibration_samples=SAMPLES).apply(model, context(runtime, model))
            rounded[runtime] = answers(runtime, made, quantized=True)
        except PerfsuiteError as error:
            assert "perfsuite's" not in str(error), error
            continue
        for ours, theirs in zip(rounded[runtime], wanted, strict=True):
            spread = np.linalg.norm(theirs)
            assert np.linalg.norm(ours - theirs) <= 0.3 * spread + 1e-3, f"{runtime} int8"
    if beside_static and rounded:
        _check_beside_static(model, wanted, rounded)


def _check_beside_static(
    model: onnx.ModelProto, wanted: Outputs, rounded: dict[str, Outputs]
) -> None:
    theirs = by_static(model)
    if theirs is None:
        return
    limit = BEHIND + FACTOR * unlike(theirs, wanted)
    for runtime, found in rounded.items():
        ours = unlike(found, wanted)
        assert ours <= limit, f"{runtime} int8: 1 - cosine {ours:.4f}, quantize_static's {limit}"


def by_static(model: onnx.ModelProto) -> Outputs | None:
    """Return ONNX Runtime's answers by its own quantize_static; None where it fails."""
    import onnxruntime as ort

    try:
        made = static(model, [calibrated_with(model, SAMPLES)])
        found = _asked(made, samples(model, TESTS, 2), ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    except Exception:  # noqa: BLE001 - what it cannot do is no measure
        return None
    return found if all(np.isfinite(one).all() for one in found) else None


def unlike(found: Outputs, wanted: Outputs) -> float:
    """Return 1 minus the mean cosine over samples and outputs; answers of zeros are alike."""
    cosines = []
    for ours, theirs in zip(found, wanted, strict=True):
        a, b = (one.reshape(len(one), -1).astype(np.float64) for one in (ours, theirs))
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        products = (a * b).sum(axis=1)
        same = np.abs(a - b).max(axis=1) <= 1e-3
        cosines.append(np.divide(products, lengths, out=same.astype(float), where=lengths > 1e-12))
    return float(1 - np.mean(cosines))


def check_drawn(
    *,
    examples: int,
    until_s: float,
    seed: int,
    strategy: st.SearchStrategy[onnx.ModelProto] | None = None,
    beside_static: bool = False,
) -> int:
    """Check graphs until a time of the monotonic clock; return how many an engine could take.

    By default pictures and sequences are drawn. A graph that fails is made smaller as long as time
    remains, printed as text, and written to a file.
    """
    taken = 0
    kept = Path(tempfile.gettempdir()) / f"perfsuite-fuzzed-{seed}.onnx"
    failed: list[tuple[int, Exception]] = []

    @seeded(seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(graphs(), sequence_graphs()) if strategy is None else strategy)
    def one(model: onnx.ModelProto) -> None:
        nonlocal taken
        if time.monotonic() >= until_s:
            raise KeyboardInterrupt  # hypothesis would draw all that remain
        taken += plain(model, samples(model, 1, 2)) is not None
        try:
            check(model, beside_static=beside_static)
        except Exception as error:
            error.add_note(onnx.printer.to_text(model)[:4000])
            error.add_note(f"the smallest is in {kept}")
            size = len(model.SerializeToString())
            if not failed or size <= failed[0][0]:
                failed[:] = [(size, error)]
                onnx.save(model, kept)
            raise

    _until(one, until_s)
    if failed:  # the time was over before it could be made any smaller
        raise failed[0][1]
    return taken


def _until(drawing: Callable[[], None], until_s: float) -> None:
    try:
        drawing()
    except KeyboardInterrupt:
        if time.monotonic() < until_s:
            raise
