"""The profile of eager PyTorch: the operators that the model's code calls.

Three kinds of call are made, so that the timed ones are slowed down little. One has a scope in the
trace for every module, which says to which module each operator belongs. One intercepts operators,
to count their arithmetic and bytes. The timed calls have only operators in the trace, which come in
the same order.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from perfsuite.domain.device import PROCESSOR
from perfsuite.domain.profile import PYTHON, Kernel, Profile
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import Unsupported
from perfsuite.export.aten_operators import counted
from perfsuite.runtimes.pytorch.memory import memory, size_bytes
from perfsuite.runtimes.pytorch.trace import (
    CALL,
    NOT_THERE,
    SCOPE,
    OperatorSpan,
    device_spans,
    host_spans,
)
from perfsuite.runtimes.shared.cuda_driver import CUDA
from perfsuite.runtimes.shared.precision import PRECISIONS

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.profiler import ProfilerActivity

Run = Callable[[Inputs], Outputs]
Scope = Callable[[str], AbstractContextManager[Any]]
Key = tuple[str, str, int]  # module path, operator, and the number of its call there
_TRIES, _OPERATORS = 5, 400  # by which the cost of tracing is measured


class OperatorWork(NamedTuple):
    """The arithmetic and bytes of one operator; `macs` is None where they cannot be counted."""

    macs: int | None
    bytes: int
    precision: str


# Operators that are not intercepted only make tensors of Python's numbers.
_NOTHING = OperatorWork(0, 0, "")


def profile(
    module: nn.Module,
    run: Run,
    spans: Sequence[str],
    inputs: Sequence[Inputs],
    calls: int,
    device: str = PROCESSOR,
) -> Profile:
    """Return the profile of `calls` calls of `run`, which calls `module`.

    An operator belongs to the module, or the method in `spans`, whose code called it; its time
    includes the operators that it calls. An operator that ran in some calls only has the time 0 in
    the others. The time between two operators, minus the tracer's cost, is shown as a kernel of the
    innermost module that called both, so that a module's time includes its Python code; outside of
    all modules it belongs to none. Raises `Unsupported` if operators differ from call to call.

    On a card an operator's time is that of its kernels, from the begin of the first to the end of
    the last; the time between two operators is that for which the card waits for the host. Copies
    of inputs and outputs, which no module's code makes, are left out, and so are part of the
    engine's overhead.
    """
    from torch.profiler import record_function

    with scoped(module, paths_of(module, spans), lambda path: record_function(SCOPE + path)):
        owned = _spans(run, inputs, len(inputs), device)[1]
    done = [works(module, run, spans, entry) for entry in inputs]
    walls_s, operators_of = _spans(run, inputs, calls, device)
    cost_s = _tracer_cost_s(device)
    found: dict[Key, dict[int, OperatorSpan]] = defaultdict(dict)
    for call, operators in enumerate(operators_of):
        owners = owned[call % len(inputs)]
        if [span.name for span in owners] != [span.name for span in operators]:
            raise Unsupported(
                f"pytorch: the same input takes {len(owners)} operators in one call and "
                f"{len(operators)}, or others, in another, so they cannot be told apart; make the "
                f"model deterministic"
            )
        pairs = zip(operators, owners, strict=True)
        owned_spans = [
            span._replace(path=owner.path)
            for span, owner in pairs
            if device != CUDA or (owner.inside and span.time_s != NOT_THERE)
        ]
        named = list(_with_gaps(owned_spans, cost_s))
        for key, span in zip(_keys((span.path, span.name) for span in named), named, strict=True):
            found[key][call] = span
    for index, work in enumerate(done):
        ran_then = [key for key, ran in found.items() if any(c % len(done) == index for c in ran)]
        _settle(work, ran_then)
    return Profile(
        tuple(walls_s),
        tuple(_kernel(key, ran, done, calls) for key, ran in found.items()),
    )


def _settle(work: dict[Key, OperatorWork], spans: Sequence[Key]) -> None:
    """Give arithmetic that was intercepted under names that the trace has not to what ran it.

    Under `torch.func.vmap` the trace has the operators that a module calls, of one sample, and in
    their place those are intercepted that torch calls for all samples. In their order each goes to
    one of the module, the last takes what is left.
    """
    traced = set(spans)
    left = [key for key, done in work.items() if spans and key not in traced and done.macs != 0]
    for path in dict.fromkeys(path for path, *_ in left):
        own = [key for key in spans if key[0] == path and key[1] != PYTHON]
        hosts = [key for key in own if key not in work] or own[-1:] or list(spans[-1:])
        for number, key in enumerate(one for one in left if one[0] == path):
            host = hosts[min(number, len(hosts) - 1)]
            done, more = work.get(host, _NOTHING), work[key]
            known = done.macs is not None and more.macs is not None
            macs = (done.macs or 0) + (more.macs or 0) if known else None
            work[host] = OperatorWork(macs, done.bytes + more.bytes, more.precision)


def _tracer_cost_s(device: str) -> float:
    """Return the seconds that tracing adds to one small operator."""
    import torch

    one = torch.zeros(1, device=device)

    def least_ns() -> float:
        tries = []
        for _ in range(_TRIES):
            begin_ns = time.perf_counter_ns()
            for _ in range(_OPERATORS):
                torch.neg(one)
            tries.append((time.perf_counter_ns() - begin_ns) / _OPERATORS)
        return min(tries)

    plain_ns = least_ns()
    with torch.profiler.profile(activities=activities(device)):
        traced_ns = least_ns()
    return max(0.0, traced_ns - plain_ns) / 1e9


def _with_gaps(operators: Sequence[OperatorSpan], cost_s: float) -> Iterator[OperatorSpan]:
    """Yield the operators of a call, and between them the time of a module's Python code.

    `cost_s`, the tracer's cost for one operator, is subtracted from each gap.
    """
    yield from operators[:1]
    for before, after in pairwise(operators):
        segments = zip(before.path.split("."), after.path.split("."), strict=False)
        path = ".".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], segments))
        if path:
            end_s = before.start_s + before.time_s
            yield OperatorSpan(PYTHON, path, end_s, max(0.0, after.start_s - end_s - cost_s))
        yield after


def _kernel(
    key: Key, spans: dict[int, OperatorSpan], works: Sequence[dict[Key, OperatorWork]], calls: int
) -> Kernel:
    path, operator, again = key
    origin = f"{path}/{operator}".lstrip("/")
    done = [works[call % len(works)].get(key, _NOTHING) for call in spans]
    macs = [work.macs for work in done if work.macs is not None]
    everywhere = len(spans) == calls
    return Kernel(
        f"{origin}_{again}" if again else origin,
        operator,
        tuple(spans[call].time_s if call in spans else 0.0 for call in range(calls)),
        tuple(spans[call].start_s for call in range(calls)) if everywhere else (),
        (origin,),
        precision=done[0].precision,
        macs=sum(macs) // calls if len(macs) == len(done) else None,
        bytes=sum(work.bytes for work in done) // calls,
    )


def _keys(operators: Iterator[tuple[str, str]]) -> Iterator[Key]:
    seen: Counter[tuple[str, str]] = Counter()
    for path, name in operators:
        yield path, name, seen[path, name]
        seen[path, name] += 1


def activities(device: str) -> list[ProfilerActivity]:
    """Return what is to be traced on the device.

    On a processor Kineto, which traces, is kept silent: it would tell of each start on stderr, and
    of a missing card as an error.
    """
    from torch.profiler import ProfilerActivity

    if device == PROCESSOR:
        os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # above all levels; read once
    more = [ProfilerActivity.CUDA] if device == CUDA else []
    return [ProfilerActivity.CPU, *more]


def traced(
    run: Run, inputs: Sequence[Inputs], calls: int, device: str
) -> tuple[list[float], list[Any]]:
    """Return the wall time of each call, and the events of the profiler's trace of them all."""
    import torch
    from torch.profiler import record_function

    walls_s = []
    with torch.profiler.profile(activities=activities(device)) as trace:
        for index in range(calls):
            with record_function(CALL):
                begin_ns = time.perf_counter_ns()
                run(inputs[index % len(inputs)])
                walls_s.append((time.perf_counter_ns() - begin_ns) / 1e9)
    assert trace.profiler is not None and trace.profiler.kineto_results is not None
    return walls_s, list(trace.profiler.kineto_results.events())


def _spans(
    run: Run, inputs: Sequence[Inputs], calls: int, device: str
) -> tuple[list[float], list[list[OperatorSpan]]]:
    """Return the wall time of each call, and its operators."""
    walls_s, events = traced(run, inputs, calls, device)
    return walls_s, list((device_spans if device == CUDA else host_spans)(events))


@contextlib.contextmanager
def scoped(module: nn.Module, paths: Iterable[str], scope: Scope) -> Iterator[None]:
    """Run the modules and methods at `paths` inside `scope(path)`, within the context.

    Paths of neither are ignored.
    """
    import torch

    with contextlib.ExitStack() as stack:
        for path in paths:
            owner: object = module
            *parents, name = path.split(".")
            for parent in parents:
                owner = getattr(owner, parent, None)
            part = getattr(owner, name, None) if path else module
            if isinstance(part, torch.jit.ScriptModule):  # its code is not Python
                continue
            if isinstance(part, torch.nn.Module):
                _wrap(stack, part, "forward", path, scope)
            elif callable(part):
                _wrap(stack, owner, name, path, scope)
        yield


def paths_of(module: nn.Module, spans: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*(path for path, _ in module.named_modules()), *spans]))


def _wrap(stack: contextlib.ExitStack, owner: object, name: str, path: str, scope: Scope) -> None:
    method = getattr(owner, name)

    @functools.wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with scope(path):
            return method(*args, **kwargs)

    if name in vars(owner):
        stack.callback(setattr, owner, name, method)
    else:
        stack.callback(delattr, owner, name)
    setattr(owner, name, wrapped)


def works(
    module: nn.Module, run: Run, spans: Sequence[str], inputs: Inputs
) -> dict[Key, OperatorWork]:
    """Return the arithmetic and bytes of each operator of one call."""
    from torch.utils._python_dispatch import TorchDispatchMode

    inside = [""]
    seen: list[tuple[str, str, OperatorWork]] = []

    @contextlib.contextmanager
    def scope(path: str) -> Iterator[None]:
        inside.append(path)
        try:  # what a part raises, the code that calls it may catch
            yield
        finally:
            inside.pop()

    class Catch(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            answer, work = _work(func, args, kwargs or {})
            seen.append((inside[-1], func.overloadpacket.__name__, work))
            return answer

    paths = paths_of(module, spans)
    with scoped(module, paths, scope), Catch():  # type: ignore[no-untyped-call]
        run(inputs)
    keys = _keys((path, name) for path, name, _ in seen)
    return {key: work for key, (*_, work) in zip(keys, seen, strict=True)}


def _work(func: Any, args: Any, kwargs: Any) -> tuple[Any, OperatorWork]:
    with counted() as count:
        answer = func(*args, **kwargs)
    macs = None if count.uncounted else count.macs
    read, written = _tensors((args, kwargs)), _tensors(answer)
    places = {memory(tensor) for tensor in read}
    view = not func._schema.is_mutable and all(memory(one) in places for one in written)
    moved = 0 if view and written else sum(map(size_bytes, (*read, *written)))
    dtype = str(written[0].dtype).removeprefix("torch.") if written else ""
    return answer, OperatorWork(macs, moved, PRECISIONS.get(dtype, dtype))


def _tensors(values: Any) -> list[torch.Tensor]:
    import torch
    from torch.utils._pytree import tree_leaves

    found = {id(one): one for one in tree_leaves(values) if isinstance(one, torch.Tensor)}
    return list(found.values())
