"""What the TorchScript exporter writes down for good of a `forward` that looks at numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from warnings import WarningMessage

from perfsuite.errors import ParityError

if TYPE_CHECKING:
    import onnx

_FROZEN = "perfsuite.frozen"  # the metadata key
_OWN = Path(__file__).parents[1]
_LIBRARIES = ("site-packages", "dist-packages")  # where installed packages lie
_MOST = 3  # places that are named
_TRACER = "TracerWarning"  # by name: torch need not be imported for it
# What PyTorch's tracer calls that which it makes a constant of, and what it is in the user's code.
_KINDS = (
    ("Python boolean", "a branch"),
    ("Iterating over a tensor", "the length of a loop"),
)

_UNSEEN = ("Python list", "NumPy array")  # what takes values out without an operator


def frozen_places(told: Iterable[WarningMessage], reads: Callable[[], bool]) -> str:
    """Return where a traced module has made constants of its input, or "" if nowhere.

    `told` are the warnings while it was traced. The tracer warns of sizes too, which calls have in
    common: where `reads` tells that forward reads no values, only places count at which it could
    not see them. Each place is a file, a line and what stands there,
    such as "net.py:12 (a branch)". Installed packages are left out: they look at the shapes of what
    they get, and whoever exports a net of theirs cannot change it.
    """
    own = [one for one in told
           if one.category.__name__ == _TRACER and not _installed(Path(one.filename))]  # fmt: skip
    if own and not reads():
        own = [one for one in own if any(words in str(one.message) for words in _UNSEEN)]
    places = {
        f"{Path(one.filename).name}:{one.lineno} ({_kind(str(one.message))})": None for one in own
    }
    named = list(places)[:_MOST]
    more = [f"{len(places) - _MOST} more"] if len(places) > _MOST else []
    return ", ".join([*named, *more])


def mark_frozen(model: onnx.ModelProto, places: str) -> None:
    """Write the places of `frozen_places` into the metadata of `model`, if there are any."""
    if places:
        model.metadata_props.add(key=_FROZEN, value=places)


def frozen_in_files(graphs: Iterable[Path]) -> str:
    """Return the places that `mark_frozen` wrote into files, or "" if it wrote none."""
    from perfsuite.export.onnx import load_graph

    found = [one.value for graph in graphs for one in load_graph(graph).metadata_props
             if one.key == _FROZEN]  # fmt: skip
    return ", ".join(dict.fromkeys(found))


@contextmanager
def naming_frozen(graphs: Iterable[Path]) -> Iterator[None]:
    """Name what the files of `graphs` keep for good in a `ParityError` of their answers."""
    try:
        yield
    except ParityError as error:
        places = frozen_in_files(graphs)
        if not places:
            raise
        raise ParityError(
            f"{error}; its forward reads values of its input in Python, at {places}, where the "
            f"graph keeps for good what one input gave: torch.where and torch.cond stay open"
        ) from error


def _installed(path: Path) -> bool:
    return path.is_relative_to(_OWN) or any(folder in path.parts for folder in _LIBRARIES)


def _kind(message: str) -> str:
    return next((kind for words, kind in _KINDS if words in message), "a value")
