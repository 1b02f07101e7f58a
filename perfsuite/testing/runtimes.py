"""`check_runtime`: the contract of runtimes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from perfsuite.domain.runtime import Manifest, Runtime, Session, SessionOptions, Variant
from perfsuite.errors import (
    BuildError,
    ConfigError,
    ParityError,
    PerfsuiteError,
    SilentFallback,
    Unavailable,
    Unsupported,
)
from perfsuite.export.onnx import export_graph, graph_spec, load_graph
from perfsuite.export.parity import parity
from perfsuite.runner.build.capabilities import identity_of, quantized_graphs_of
from perfsuite.runner.build.reference import module_outputs
from perfsuite.runtimes.shared.precision import check_precision, compute_precisions
from perfsuite.testing.samples import (
    CLASSES,
    OUTPUTS,
    PRODUCTS,
    SPEC,
    pictures,
    require,
    require_name,
    small_net,
)

BATCHES = (1, 4)
CALLS = 3  # to profile
TAKES = ("module", "graph", "nothing")


def check_runtime(runtime: Runtime, device: str = "", precision: str = "") -> None:
    """Raise `AssertionError` unless the runtime meets the contract.

    It builds a small convolutional net into a folder, which is then moved. The artifact must open
    at two batch sizes, answer as eager PyTorch does, report the kernels that ran, and allow closing
    twice. Sessions may lack `profile`; if they have it, the profile must be consistent. If the
    engine is not installed, `Unavailable` is raised; skip the test then. Answers of a scripted
    engine, which `takes` nothing, are not compared. It is tried on `device`, by default the first
    of its devices, in `precision`, by default fp32 or the first that it has.
    """
    who = f"runtime {type(runtime).__name__}"
    _check_declared(who, runtime)
    device = device or runtime.devices[0]
    precision = precision or ("fp32" if "fp32" in runtime.precisions else runtime.precisions[0])
    require_device = getattr(runtime, "require", None)
    if require_device is not None:
        require_device(device, precision)
    with tempfile.TemporaryDirectory(prefix="perfsuite-check-") as name:
        folder = Path(name)
        manifest = _build(runtime, folder, device, precision)
        artifact = (folder / "built").rename(folder / "moved")
        for batch in BATCHES:
            _check_answers(who, runtime, manifest, artifact, batch)
        _check_evidence(who, runtime, manifest, artifact)
        _check_profile(who, runtime, manifest, artifact)
        if any(artifact.iterdir()):
            (folder / "empty").mkdir()
            _check_missing(who, runtime, manifest, folder / "empty")


def _check_declared(who: str, runtime: Runtime) -> None:
    require_name(getattr(runtime, "name", None), who)
    takes = getattr(runtime, "takes", None)
    require(takes in TAKES, f"{who}: takes is {takes!r}; it must be one of {', '.join(TAKES)}")
    for field in ("devices", "precisions"):
        value = getattr(runtime, field, None)
        require(
            isinstance(value, tuple) and len(value) > 0 and all(isinstance(v, str) for v in value),
            f"{who}: {field} is {value!r}; it must be a tuple of names, such as "
            f"{('cpu',) if field == 'devices' else ('fp32',)}",
        )
    found = runtime.probe()
    require(
        isinstance(found, dict)
        and len(found) > 0
        and all(isinstance(text, str) and text for item in found.items() for text in item),
        f"{who}: probe() gives {found!r}; it must give library name to version, or raise "
        f"Unavailable with what to install",
    )
    for device in runtime.devices:
        try:
            identity_of(runtime, device)
            quantized_graphs_of(runtime, device)
        except Unavailable:
            continue  # this machine has no such device
        except (BuildError, ConfigError) as error:
            raise AssertionError(f"{who}: {error}") from error


def _build(runtime: Runtime, folder: Path, device: str, precision: str) -> Manifest:
    """Return the manifest of the small net, built into `folder / "built"`."""
    graph = None
    outputs: tuple[str, ...] = OUTPUTS
    if runtime.takes == "graph":
        graph = folder / "graph.onnx"
        export_graph(small_net(), SPEC, pictures(2), graph)
        _, outputs = graph_spec(load_graph(graph))
    manifest = Manifest(
        runtime.name, device, precision, 1, SPEC, outputs, lossy=False, quantized=False
    )
    rebuild = None if runtime.takes == "nothing" else small_net
    (folder / "built").mkdir()
    variant = Variant(graph, rebuild, quantized=False, example=pictures(1))
    runtime.build(variant, manifest, folder / "built")
    if graph is not None:
        graph.unlink()  # the artifact must stand alone
    return manifest


def _open(
    runtime: Runtime, manifest: Manifest, folder: Path, batch: int, *, inspect: bool = False
) -> Session:
    rebuild = small_net if runtime.takes == "module" else None
    return runtime.open(folder, manifest, SessionOptions(batch, 1, inspect, rebuild))


def _check_answers(
    who: str, runtime: Runtime, manifest: Manifest, folder: Path, batch: int
) -> None:
    inputs = pictures(batch)
    with _open(runtime, manifest, folder, batch) as session:
        outputs = session.run(inputs)
        require(
            isinstance(outputs, list) and all(isinstance(o, np.ndarray) for o in outputs),
            f"{who}: run() must return a list of NumPy arrays on the host",
        )
        kept = [output.copy() for output in outputs]
        session.run({name: array * -2 for name, array in inputs.items()})
    require(
        all(np.array_equal(a, b) for a, b in zip(outputs, kept, strict=True)),
        f"{who}: the next run() overwrites the arrays of the one before; return copies",
    )
    if runtime.takes == "nothing":
        require(
            all(len(output) == batch for output in outputs),
            f"{who}: outputs for a batch of {batch} have the shapes {[o.shape for o in outputs]}",
        )
        return
    reference = module_outputs(small_net(), inputs)
    try:
        parity(reference, outputs, manifest.outputs, manifest.precision)
    except ParityError as error:
        raise AssertionError(
            f"{who}: at batch {batch} it answers differently from eager PyTorch: {error}"
        ) from error
    require(outputs[0].shape == (batch, CLASSES), f"{who}: output of shape {outputs[0].shape}")


def _check_evidence(who: str, runtime: Runtime, manifest: Manifest, folder: Path) -> None:
    session = _open(runtime, manifest, folder, 1, inspect=True)
    with session:
        session.run(pictures(1))
        evidence = session.evidence()
    require(
        len(evidence.kernels) > 0 and all(times > 0 for times in evidence.kernels.values()),
        f"{who}: opened with inspect, evidence().kernels must count what ran, by type and "
        f"precision, such as {{'Conv fp32': 2}}; it is {evidence.kernels}",
    )
    try:
        # TF32 is leave to round: for products as small as the net's, fp32 may be the faster one.
        if not (
            manifest.precision == "tf32" and set(compute_precisions(evidence.kernels)) == {"fp32"}
        ):
            check_precision(evidence, manifest)
    except SilentFallback as error:
        raise AssertionError(f"{who}: its evidence is not what was asked for: {error}") from error
    try:
        session.__exit__(None, None, None)
    except Exception as error:
        raise AssertionError(
            f"{who}: closing a session twice fails with {type(error).__name__}: {error}; the "
            f"second time must do nothing"
        ) from error


def _check_profile(who: str, runtime: Runtime, manifest: Manifest, folder: Path) -> None:
    who = f"{who}: profile()"
    with _open(runtime, manifest, folder, 1, inspect=True) as session:
        if not hasattr(session, "profile"):
            return
        inputs = [pictures(1, seed) for seed in range(2)]
        try:
            profile = session.profile(inputs, CALLS)
        except Unsupported:
            return
        session.run(inputs[0])
    walls, names = profile.walls_s, [kernel.name for kernel in profile.kernels]
    require(
        len(walls) in (1, CALLS) and all(wall > 0 for wall in walls),
        f"{who} of {CALLS} calls gives the wall times {walls}; give one a call, in seconds, or "
        f"their mean alone",
    )
    require(len(set(names)) == len(names), f"{who}: two kernels have one name: {names}")
    for kernel in profile.kernels:
        require(
            len(kernel.times_s) == len(walls)
            and len(kernel.starts_s) in (0, len(walls))
            and all(time >= 0 for time in (*kernel.times_s, *kernel.starts_s)),
            f"{who}: kernel '{kernel.name}': times_s and starts_s (which may be empty) must be "
            f"aligned with walls_s, and not negative",
        )
    for call, wall in enumerate(walls):
        spent = sum(kernel.times_s[call] for kernel in profile.kernels)
        require(
            spent <= wall * (1 + 1e-6),
            f"{who}: the kernels of a call take {spent:.6f} s, the call {wall:.6f} s; times must "
            f"be exclusive",
        )
    if runtime.takes != "nothing":
        owned = sum(bool(kernel.origins) for kernel in profile.kernels)
        require(
            owned >= PRODUCTS,
            f"{who}: {owned} kernels have origins, but the net has {PRODUCTS} convolutions and "
            f"matrix products; name the nodes that each kernel came from",
        )


def _check_missing(who: str, runtime: Runtime, manifest: Manifest, empty: Path) -> None:
    advice = "raise perfsuite.SchemaError that names the missing file"
    try:
        _open(runtime, manifest, empty, 1)
    except PerfsuiteError:
        return
    except Exception as error:
        raise AssertionError(
            f"{who}: options an empty folder fails with {type(error).__name__}: {error}; {advice}"
        ) from error
    raise AssertionError(f"{who}: an empty folder opens as an artifact; {advice}")
