"""PyTorch compiled ahead by Inductor (torch.compile), on the processor or a card.

The artifact is the exported program with the compiler's cache, so that opening it compiles nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from perfsuite.domain.device import DeviceIdentity
from perfsuite.domain.profile import Roofline
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.errors import BuildError, PerfsuiteError, Unsupported, raised_from
from perfsuite.export.calls import evaluated
from perfsuite.export.state import storable
from perfsuite.export.wrappers import stay_eager
from perfsuite.runtimes.pytorch.runtime import (
    WEIGHTS,
    PyTorch,
    load_weights,
    settle,
    settle_card_precision,
)
from perfsuite.runtimes.shared.base import artifact_file, trimmed
from perfsuite.runtimes.shared.cuda_driver import CUDA
from perfsuite.runtimes.torch_compile.compiler_cache import CompilerCache
from perfsuite.runtimes.torch_compile.made import Made, read_made, write_made
from perfsuite.runtimes.torch_compile.program import PROGRAM, example_of, exported, loaded
from perfsuite.runtimes.torch_compile.recording import Inductor, Recording
from perfsuite.runtimes.torch_compile.session import CompiledSession
from perfsuite.runtimes.torch_compile.settings import OPTIONS, require_compiler, settle_compiler

ARCHIVE = "cache.tar"


class TorchCompile:
    """Runs what torch.compile makes of the module; needs torch and g++, on a card Triton."""

    name: ClassVar[str] = "torch-compile"
    takes: ClassVar[str] = "module"
    devices: ClassVar[tuple[str, ...]] = PyTorch.devices
    precisions: ClassVar[tuple[str, ...]] = PyTorch.precisions

    def probe(self) -> dict[str, str]:
        """Return the version, or raise `Unavailable`."""
        return PyTorch().probe()

    def require(self, device: str, precision: str) -> None:
        """Raise as for eager PyTorch, and `Unavailable` without a compiler."""
        PyTorch().require(device, precision)
        require_compiler(device)

    def identify(self, device: str) -> DeviceIdentity:
        """Return which processor or card it is; raise `Unavailable` without a card."""
        return PyTorch().identify(device)

    def roofline(self, device: str, precision: str) -> Roofline:
        """Return the card's peaks, measured with torch's own products and copies."""
        return PyTorch().roofline(device, precision)

    def quantized_graphs(self, device: str) -> None:
        """Return None, as it runs no graphs."""

    def build(self, variant: Variant, manifest: Manifest, folder: Path) -> None:
        """Export and compile the module for the timed inputs; keep what the compiler has made."""
        if variant.quantized or variant.rebuild is None:
            raise Unsupported(
                f"{self.name} takes torch modules, and this is an ONNX graph; take a runtime that "
                f"takes graphs"
            )
        require_compiler(manifest.device)
        settle_compiler(manifest.device, builds=True)
        stay_eager(False)  # as a session of PyTorch in this process may have asked for
        settle(0)
        refusal = self._write(variant, manifest, folder)
        if manifest.device == CUDA:  # after torch.export, which changes some of these settings
            settle_card_precision(manifest.precision)
        cache = CompilerCache()
        options = SessionOptions(manifest.batch, 0, rebuild=variant.rebuild)
        opening = Opening(folder, manifest, options, Made(0, 0.0, refusal), cache)
        begin_s = time.perf_counter()
        with opening.session(record=True) as session:
            try:
                session.run_in_place(example_of(variant, manifest))
            except PerfsuiteError:
                raise
            except Exception as error:
                raise BuildError(f"torch.compile cannot compile it: {reason_of(error)}") from error
            compile_s = time.perf_counter() - begin_s
            counted = session.counted()
            if counted.graphs == 0:
                raise Unsupported(
                    f"{self.name}: torch.compile has compiled nothing of this module, which would "
                    f"run as it is; take pytorch ({refusal or 'it computes nothing'})"
                )
            calls = session.recorded()
            cache.keep(folder / ARCHIVE)
        write_made(folder, Made(counted.graphs, compile_s, refusal, counted.breaks, calls))

    def open(self, folder: Path, manifest: Manifest, options: SessionOptions) -> CompiledSession:
        """Return a session on the program, or on the rebuilt module where it could not be exported.

        What it needs compiled the artifact's cache has, for calls of the size that was built for.
        """
        made = read_made(folder)
        archive = artifact_file(folder, ARCHIVE)
        require_compiler(manifest.device)  # which is asked for its version
        settle_compiler(manifest.device, builds=options.batch != manifest.batch)
        stay_eager(False)
        settle(options.threads)
        if manifest.device == CUDA:
            PyTorch().require(manifest.device, manifest.precision)
            settle_card_precision(manifest.precision)
        return Opening(folder, manifest, options, made, CompilerCache(archive)).session()

    def _write(self, variant: Variant, manifest: Manifest, folder: Path) -> str:
        """Write the exported program; where there is none, the weights, and return the reason."""
        import torch
        from safetensors.torch import save_file

        assert variant.rebuild is not None
        module = evaluated(variant.rebuild())
        if isinstance(module, torch.jit.ScriptModule):
            raise Unsupported(
                f"{self.name}: torch.compile does not take TorchScript; build the module from its "
                f"Python code, or take pytorch"
            )
        program, refusal = exported(module, variant, manifest)
        if program is not None:
            torch.export.save(program, folder / PROGRAM)
        else:
            save_file(storable(evaluated(variant.rebuild())), folder / WEIGHTS)
        return refusal


@dataclass(frozen=True)
class Opening:
    """All that an artifact is opened with."""

    folder: Path
    manifest: Manifest
    options: SessionOptions
    made: Made
    cache: CompilerCache

    def session(self, *, record: bool = False) -> CompiledSession:
        """Return a session; with `record` one that notes what it compiles."""
        try:
            module = self._program() if self.made.whole else self._rebuilt()
            backend = Inductor(OPTIONS)
            if record:
                backend = Recording(OPTIONS, module.graph if self.made.whole else None)
            return CompiledSession(
                module, self.manifest, self.options, self.made, self.cache, backend
            )
        except BaseException:
            self.cache.close()
            raise

    def _program(self) -> Any:
        return loaded(artifact_file(self.folder, PROGRAM))

    def _rebuilt(self) -> Any:
        path = artifact_file(self.folder, WEIGHTS)
        if self.options.rebuild is None:
            raise BuildError(
                f"{TorchCompile.name} needs the module to open this artifact: "
                f"SessionOptions.rebuild"
            )
        module = self.options.rebuild()
        load_weights(module, path)
        return evaluated(module)


def reason_of(error: Any) -> str:
    """Return what went wrong in a compiler that wraps one error into others."""
    *_, inner = raised_from(error)
    return f"{type(inner).__name__}: {trimmed(str(inner))}"
