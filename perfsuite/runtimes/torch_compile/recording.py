"""Inductor, asked to tell what it puts into which kernel while it compiles."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsuite.runtimes.torch_compile.kernels import CodeCall, Source, code_calls, sources_of
from perfsuite.store.temporary import TemporaryFolder

if TYPE_CHECKING:
    import torch

# Of all that Inductor can write about its work. None of it is part of its cache's keys.
_SILENT = ("fx_graph", "fx_graph_transformed", "ir_pre_fusion", "ir_post_fusion", "output_code")


class Inductor:
    """A backend of torch.compile that compiles with `options`."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options

    def __call__(self, graph: torch.fx.GraphModule, inputs: Sequence[Any]) -> Any:
        """Return the compiled graph."""
        import torch._inductor

        return torch._inductor.compile(graph, list(inputs), options=self._options)


class Recording(Inductor):
    """One that takes notes, in the form of what Inductor can write about its work.

    `program` is the graph of the exported program that is compiled, None for a module as it is.
    """

    def __init__(self, options: dict[str, Any], program: Any) -> None:
        self._folder = TemporaryFolder()
        super().__init__(
            {
                **options,
                **{f"trace.{name}": False for name in _SILENT},
                "trace.enabled": True,
                "trace.debug_dir": self._folder.name,
                "trace.provenance_tracking_level": 1,
            }
        )
        self._program = program
        self._sources: list[dict[str, Source]] = []

    def __call__(self, graph: torch.fx.GraphModule, inputs: Sequence[Any]) -> Any:
        """Return the compiled graph."""
        self._sources.append(sources_of(graph.graph, self._program))
        logger = logging.getLogger("torch._inductor.debug")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            return super().__call__(graph, inputs)
        finally:
            logger.setLevel(level)

    def calls(self) -> tuple[CodeCall, ...]:
        """Return the calls of the compiled code; none where there is more than one graph."""
        if len(self._sources) != 1:
            return ()
        return code_calls(Path(self._folder.name), self._sources[0])

    def close(self) -> None:
        """Remove the notes."""
        self._folder.cleanup()
