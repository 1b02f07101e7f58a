"""A compiled module, opened: its calls, what the compiler had to do, and what ran."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.profile import Profile
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.runtime import Manifest, SessionOptions
from perfsuite.domain.task import Inputs
from perfsuite.errors import Unsupported
from perfsuite.export.calls import Caller, caller
from perfsuite.runtimes.pytorch.layers import weights_item
from perfsuite.runtimes.pytorch.runtime import PyTorchSession
from perfsuite.runtimes.shared.base import BaseSession
from perfsuite.runtimes.torch_compile.compiler_cache import CompilerCache
from perfsuite.runtimes.torch_compile.counters import Counted, counters, since
from perfsuite.runtimes.torch_compile.kernels import GENERATED, CodeCall, is_generated
from perfsuite.runtimes.torch_compile.made import Made
from perfsuite.runtimes.torch_compile.profile import profile
from perfsuite.runtimes.torch_compile.recording import Inductor, Recording

if TYPE_CHECKING:
    from torch import nn


class CompiledSession(PyTorchSession):
    """A module that torch.compile compiles at its first call, or takes out of its cache."""

    def __init__(
        self,
        module: nn.Module,
        manifest: Manifest,
        options: SessionOptions,
        made: Made,
        cache: CompilerCache,
        backend: Inductor,
    ) -> None:
        self._made, self._cache, self._backend = made, cache, backend
        self._before = counters()
        super().__init__(module, manifest, options)
        self._call = self._compiled()

    def counted(self) -> Counted:
        """Return what the compiler has counted for this session's calls."""
        return since(self._before)

    def recorded(self) -> tuple[CodeCall, ...]:
        """Return the calls of the compiled code, as far as they were noted."""
        return self._backend.calls() if isinstance(self._backend, Recording) else ()

    def profile(self, inputs: Sequence[Inputs], calls: int) -> Profile:
        """Return the times of the compiled kernels, by the modules that they come from."""
        if not self._inspect:
            return BaseSession.profile(self, inputs, calls)
        if not self._made.calls:
            raise Unsupported(
                f"torch-compile: the model is compiled in {self._made.graphs} graphs with Python "
                f"between them, so that its kernels cannot be told apart; profile it on pytorch"
            )
        return profile(self.run, inputs, calls, self._device, self._made.calls)

    def close(self) -> None:
        """Free the module, what was compiled of it, and the folder of the compiler's cache."""
        import torch

        if self._module is not None:
            super().close()
            torch._dynamo.reset()  # what is compiled is kept by code, of which there are few
        if isinstance(self._backend, Recording):
            self._backend.close()
        self._cache.close()

    def _compiled(self) -> Caller:
        """Return a call of the compiled module, whose arguments are those of the plain one."""
        import torch

        module, whole = self._module, self._made.whole
        compiled: Any = torch.compile(module, fullgraph=whole, backend=self._backend)
        if whole:
            return lambda tensors: compiled(*tensors)
        return caller(_As(module, compiled), self._names)  # type: ignore[arg-type]

    def _computed(self, events: Sequence[Any]) -> Iterator[tuple[str, str]]:
        """Yield what libraries computed, and the kernels that the compiler wrote.

        Their types they do not tell; it is that of the model.
        """
        yield from super()._computed(events)
        dtype = str(self._place.dtype).removeprefix("torch.")
        for event in events:
            if is_generated(event.name()):
                yield GENERATED, dtype

    def _watch(self, inputs: Inputs) -> tuple[tuple[LayerKernel, ...], list[EvidenceItem]]:
        """Return no layer: a call that is compiled cannot be watched from within."""
        return (), [weights_item(self._module)]

    def _read(self) -> Evidence:
        counted, anew = self.counted(), self._cache.made()
        found = super()._read()
        return Evidence(
            (*found.items, *self._made.items(), cache_item(counted, anew)),
            found.kernels,
            found.layers,
        )


class _As:
    """A compiled module that shows the signature of the plain one's `forward`."""

    def __init__(self, module: nn.Module, compiled: Callable[..., Any]) -> None:
        self.forward, self._compiled = module.forward, compiled

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self._compiled(*given, **named)


def cache_item(counted: Counted, anew: Sequence[str]) -> EvidenceItem:
    """Return whether the artifact's cache had what the calls needed."""
    if counted.missed or anew:
        text = (
            f"miss: {counted.missed} of {counted.graphs} graphs and {len(anew)} binaries were "
            f"compiled anew"
        )
    else:
        text = f"hit: {counted.found} of {counted.graphs} graphs, nothing was compiled anew"
    return EvidenceItem("observed", "compiler", "cache", text)
