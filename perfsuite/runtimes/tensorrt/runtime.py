"""TensorRT and TensorRT for RTX: engines that are built from a typed graph for one kind of card."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from perfsuite.domain.device import DeviceIdentity, QuantizedGraphs
from perfsuite.domain.profile import Roofline
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.errors import BuildError, Unavailable, Unsupported
from perfsuite.runtimes.shared.base import (
    artifact_file,
    fixed_batch,
    installed,
    no_such_type,
    open_error,
    versions,
)
from perfsuite.runtimes.shared.cuda_driver import CUDA, Driver, require_precision
from perfsuite.runtimes.tensorrt import stored
from perfsuite.runtimes.tensorrt.builder import Wanted, build, given_nodes, target_of
from perfsuite.runtimes.tensorrt.built import (
    ENGINE,
    Built,
    check_fits,
    read_built,
    write_built,
)
from perfsuite.runtimes.tensorrt.library import Messages, driver_version, imported, no_card
from perfsuite.runtimes.tensorrt.shapes import profiles

if TYPE_CHECKING:
    import onnx

    from perfsuite.runtimes.tensorrt.session import TensorRtSession

Make = Callable[[], Any]
Keep = Callable[[], None]

_MADE_FOR = re.compile(r"-cu(\d+)$")
_OLDEST_CUDA = (12, 0)  # of a package whose name does not tell it
_NO_NUMPY = ("BFLOAT16", "FLOAT8", "FLOAT4", "INT4", "UINT4", "COMPLEX")


class TensorRt:
    """NVIDIA's TensorRT on a card; needs `perfsuite[tensorrt]`, a card and its driver."""

    name: ClassVar[str] = "tensorrt"
    takes: ClassVar[str] = "graph"
    devices: ClassVar[tuple[str, ...]] = (CUDA,)
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "tf32", "fp16", "bf16")
    builds_for: ClassVar[tuple[str, ...]] = ()  # devices for which it builds, and does not run
    title: ClassVar[str] = "TensorRT"
    module: ClassVar[str] = "tensorrt"
    packages: ClassVar[tuple[str, ...]] = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12")
    learns_times: ClassVar[bool] = True  # it measures kernels while it builds, and can keep that

    def probe(self) -> dict[str, str]:
        """Return the versions of the engine and of the driver, or raise `Unavailable`."""
        install = f"pip install 'perfsuite[{self.name}]'"
        found = versions(self.module, self.packages, install)
        driver = driver_version()
        return {**found, **({"NVIDIA driver": driver} if driver else {})}

    def require(self, device: str, precision: str) -> None:
        """Raise `Unavailable`, with what to install or change, where the device is not there."""
        if device == CUDA:
            Driver().require(self.title, self._cuda())
        require_precision(precision, self.identify(device).features[0])

    def _cuda(self) -> tuple[int, int]:
        """Return the version of CUDA that the installed package was made for."""
        for name in self.packages:
            made_for = _MADE_FOR.search(name)
            if made_for is not None and installed(name):
                return int(made_for[1]), 0
        return _OLDEST_CUDA

    def identify(self, device: str) -> DeviceIdentity:
        """Return which card it is, or the kind of cards that is built for."""
        if device in self.builds_for:
            return DeviceIdentity(device, f"any card with {device}", (device,))
        return Driver().identity()

    def roofline(self, device: str, precision: str) -> Roofline:
        """Return the card's peaks, measured with torch's own products and copies."""
        from perfsuite.runtimes.pytorch.runtime import PyTorch

        return PyTorch().roofline(device, precision)

    def quantized_graphs(self, device: str) -> QuantizedGraphs:
        """Return signed activations without zero points, and a pair before each layer.

        A shortcut is added in the accumulator.
        """
        return QuantizedGraphs("int8", sum_in_accumulator=True, pairs_before_layers=True)

    def build(self, variant: Variant, manifest: Manifest, folder: Path) -> None:
        """Write `model.engine`, and `engine.json`: what it is built for and of.

        Raises what `builder.build` raises, and `Unsupported` for outputs of a type NumPy lacks.
        """
        from perfsuite.export.onnx import load_graph

        if variant.graph is None:
            raise BuildError(f"{self.name} takes an ONNX graph, and there is none")
        given = load_graph(variant.graph)
        _check_outputs(given)
        trt = imported(self.module)
        capability = self.identify(manifest.device).features[0]
        wanted = Wanted(
            self.name,
            manifest.precision,
            capability,
            manifest.device in self.builds_for or not self.learns_times,
            profiles(manifest.inputs, manifest.batch, variant.shapes),
            self._timing(trt, capability),
        )
        made = build(trt, given, wanted, variant.graph)
        (folder / ENGINE).write_bytes(made.content)
        built = Built(
            self.title,
            str(trt.__version__),
            capability,
            wanted.profiles,
            given_nodes(given),
            made.layers,
            made.in_float,
        )
        write_built(folder, built)

    def _timing(self, trt: Any, capability: str) -> Path | None:
        """Return the file with the times of kernels on this card, of an engine that keeps them."""
        if not self.learns_times:
            return None
        return stored.place("times", self.name, str(trt.__version__), *_card(capability))

    def describe(self, folder: Path) -> Evidence:
        """Return what the artifact in `folder` was built of: its layers, as they were parsed."""
        built = read_built(folder)
        words = ", ".join(f"{times} in {one}" for one, times in sorted(built.products.items()))
        parsed = EvidenceItem("reported", "precision", "products, as parsed", words or "none")
        return Evidence((*built.items, parsed))

    def open(self, folder: Path, manifest: Manifest, options: SessionOptions) -> TensorRtSession:
        """Return a session for exactly `options.batch` samples, on the first card."""
        from perfsuite.runtimes.tensorrt.context import Context
        from perfsuite.runtimes.tensorrt.session import Opened, TensorRtSession

        fixed_batch(manifest.inputs, options.batch)
        path, built = artifact_file(folder, ENGINE), read_built(folder)
        if manifest.device in self.builds_for:
            raise Unavailable(
                f"{self.name}: what is built for {manifest.device} runs on such a card alone; take "
                f'a machine that has one, and devices = ["{CUDA}"]'
            )
        self.require(manifest.device, manifest.precision)
        trt, driver = imported(self.module), Driver()
        driver.entered()
        check_fits(folder, built, str(trt.__version__), driver.identity().features[0])
        messages = Messages(trt)
        engine = trt.Runtime(messages.logger).deserialize_cuda_engine(path.read_bytes())
        if engine is None:
            said = messages.errors
            raise no_card(self.name, said) or open_error(self.name, path, ValueError(said))
        make, keep = self._contexts(trt, engine, built)
        context = partial(Context, trt, engine, make, built.profiles, driver, messages)
        inspect = partial(_inspected, trt, engine)
        opened = Opened(trt, built, driver_version(), context, inspect, keep)
        return TensorRtSession(opened, manifest, options)

    def _contexts(self, trt: Any, engine: Any, built: Built) -> tuple[Make, Keep]:
        """Return what makes an execution context, and what keeps what opening has learnt."""
        managed = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        return partial(engine.create_execution_context, managed), _keep_nothing


class TensorRtRtx(TensorRt):
    """TensorRT for RTX cards; needs `perfsuite[tensorrt-rtx]`, and to run a card and its driver."""

    name: ClassVar[str] = "tensorrt-rtx"
    builds_for: ClassVar[tuple[str, ...]] = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_120", "sm_121")
    devices: ClassVar[tuple[str, ...]] = (CUDA, *builds_for)
    title: ClassVar[str] = "TensorRT-RTX"
    module: ClassVar[str] = "tensorrt_rtx"
    packages: ClassVar[tuple[str, ...]] = ("tensorrt-rtx-cu13", "tensorrt-rtx-cu12", "tensorrt-rtx")
    learns_times: ClassVar[bool] = False  # it chooses kernels without measuring them

    def require(self, device: str, precision: str) -> None:
        """Raise `Unavailable`, also for a card that is none of those that it is for."""
        super().require(device, precision)
        if device == CUDA:
            target_of(imported(self.module), self.name, self.identify(CUDA).features[0])

    def _contexts(self, trt: Any, engine: Any, built: Built) -> tuple[Make, Keep]:
        """Return the same, with a cache of the kernels that are compiled when it is opened."""
        file = stored.place("kernels", self.name, built.version, *_card(built.capability))
        config = engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(
            trt.ExecutionContextAllocationStrategy.USER_MANAGED
        )
        cache = config.create_runtime_cache()
        if before := stored.read(file):
            cache.deserialize(before)
        config.set_runtime_cache(cache)

        def keep() -> None:
            stored.write(file, bytes(cache.serialize()))

        return partial(engine.create_execution_context, config), keep


def _card(capability: str) -> tuple[str, str, str]:
    return capability, Driver().identity().name, driver_version()


def _inspected(trt: Any, engine: Any, execution: Any) -> str:
    """Return the inspector's JSON for an execution context, whose shapes decide types."""
    inspector = engine.create_engine_inspector()
    inspector.execution_context = execution
    return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def _keep_nothing() -> None:
    """Keep nothing, as nothing was learnt."""


def _check_outputs(graph: onnx.ModelProto) -> None:
    """Raise `Unsupported` for outputs that are no tensors, or of types that NumPy lacks."""
    from onnx import TensorProto

    from perfsuite.export.validity import kind_of_value

    for value in graph.graph.output:
        if value.type.WhichOneof("value") not in (None, "tensor_type"):
            raise Unsupported(
                f"output '{value.name}' is {kind_of_value(value)}, and TensorRT gives tensors "
                f"alone; take onnxruntime, or export the model with tensors as outputs"
            )
        kind = TensorProto.DataType.Name(value.type.tensor_type.elem_type)
        if kind.startswith(_NO_NUMPY):
            raise no_such_type(value.name, kind.lower())
