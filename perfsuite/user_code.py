"""The one door to code that is not perfsuite's own: workloads, passes, runtimes, meters, formats.

Whatever a user's code raises becomes one of perfsuite's errors, which says whose code it was, where
it failed and with what. So it fails its cell alone, and never looks like a regression.
"""

from __future__ import annotations

import site
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from perfsuite.errors import BuildError, ConfigError, PerfsuiteError

_T = TypeVar("_T")

_OURS = Path(__file__).parent
_END = object()


@contextmanager
def user_code(whose: str, error: type[PerfsuiteError] = BuildError) -> Iterator[None]:
    """Raise, for what the block raises, an `error` that says whose code it was, where and what.

    `whose` names the code, such as `stripes: its rows()`. Where is the last line of the user's own
    files on the way to the failure; what is the class and the message, or of an empty message, as
    of a bare `assert`, that line itself. `sys.exit` counts as a failure. Passed on as they are: a
    `PerfsuiteError`, which has words of its own, `MemoryError` and `KeyboardInterrupt`.
    """
    try:
        yield
    except (MemoryError, KeyboardInterrupt, GeneratorExit):
        raise
    except PerfsuiteError as raised:
        if str(raised).strip():
            raise
        raise _nearest(raised)(_told(whose, raised)) from raised
    except BaseException as raised:
        raise error(_told(whose, raised)) from raised


def user_items(
    whose: str, items: Callable[[], Iterable[_T]], error: type[PerfsuiteError] = BuildError
) -> Iterator[_T]:
    """Yield what a user's generator gives; also what it raises on the way is told by `user_code`.

    What the code that takes the items raises is not its fault, and is not told as that.
    """
    with user_code(whose, error):
        iterator = iter(items())
    while True:
        with user_code(whose, error):
            item: Any = next(iterator, _END)
        if item is _END:
            return
        yield item


def require_type(value: Any, wanted: type[_T], whose: str, words: str) -> _T:
    """Return what a user's code gave; raise `ConfigError`, with what it must be, for other types.

    `words` say what it must be, such as `a torch.nn.Module`.
    """
    if not isinstance(value, wanted):
        raise ConfigError(f"{whose} must give {words}, not {kind_of(value)}")
    return value


def kind_of(value: object) -> str:
    """Return in words what kind of thing a value is."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return "None" if value is None else type(value).__name__


def what_failed(raised: BaseException) -> str:
    """Return the class of an exception and its message, or the line that raised it if it has none.

    It is never empty.
    """
    frames = traceback.extract_tb(raised.__traceback__)
    return _what(raised, _own(frames) or (frames[-1] if frames else None))


def trace_of_others(error: PerfsuiteError) -> str:
    """Return the trace of what caused an error, without perfsuite's own frames.

    The error itself is left out, since its message is told. It is '' where nothing else is left.
    """
    cause = error.__cause__
    while isinstance(cause, PerfsuiteError) and cause.__cause__ is not None:
        cause = cause.__cause__
    if cause is None:
        return ""
    trace = traceback.TracebackException.from_exception(cause)
    left = [_without_ours(one) for one in _chain(trace)]
    return "".join(trace.format()) if any(left) else ""


def _chain(trace: traceback.TracebackException | None) -> Iterator[traceback.TracebackException]:
    """Yield a trace, and those of what caused it."""
    if trace is not None:
        yield trace
        yield from _chain(trace.__cause__)
        if not trace.__suppress_context__:
            yield from _chain(trace.__context__)


def _without_ours(trace: traceback.TracebackException) -> int:
    """Take perfsuite's own frames out of a trace; return how many are left."""
    kept = [one for one in trace.stack if not Path(one.filename).is_relative_to(_OURS)]
    trace.stack = traceback.StackSummary.from_list(kept)
    return len(kept)


def _told(whose: str, raised: BaseException) -> str:
    frames = traceback.extract_tb(raised.__traceback__)
    own = _own(frames)
    at = ""
    if isinstance(raised, SyntaxError) and raised.filename:
        at = f" in line {raised.lineno} of {_shown(raised.filename)}"
    elif own is not None:
        at = f" in line {own.lineno} of {_shown(own.filename)}"
    return f"{whose} failed{at} with {_what(raised, own or frames[-1])}"


def _what(raised: BaseException, frame: traceback.FrameSummary | None) -> str:
    name = type(raised).__name__
    try:
        said = str(raised).strip()
    except Exception as second:  # noqa: BLE001 - a user's own class may fail at this, too
        said = f"(its __str__ failed with {type(second).__name__})"
    said = said or (frame.line or "" if frame else "")
    return f"{name}: {said}" if said else name


def _own(frames: Iterable[traceback.FrameSummary]) -> traceback.FrameSummary | None:
    """Return the last frame in a file that is neither perfsuite's nor a library's."""
    libraries, offered = _libraries(), _offered()
    own = None
    for frame in frames:
        path = Path(frame.filename)
        if not path.is_file() or path.is_relative_to(_OURS):
            continue
        inside = [place for place in libraries if path.is_relative_to(place)]
        tops = {path.relative_to(place).parts[0].removesuffix(".py") for place in inside}
        if not inside or tops & offered:
            own = frame
    return own


def _libraries() -> set[Path]:
    """Return the folders of the standard library and of installed packages."""
    named = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    found = {*named, *site.getsitepackages(), site.getusersitepackages()}
    return {Path(place) for place in found if place}


def _offered() -> set[str]:
    """Return the installed packages that offer plug-ins: what they raise is told with its line."""
    points = entry_points()
    groups = [group for group in points.groups if group.startswith("perfsuite.")]
    return {
        point.module.partition(".")[0] for group in groups for point in points.select(group=group)
    }


def _shown(file: str) -> str:
    """Return the path from the current folder, if the file lies in it."""
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _nearest(raised: PerfsuiteError) -> type[PerfsuiteError]:
    """Return the class of perfsuite's own that `raised` belongs to: a plug-in may define others."""
    return next(
        one
        for one in type(raised).__mro__
        if issubclass(one, PerfsuiteError) and one.__module__ == PerfsuiteError.__module__
    )
