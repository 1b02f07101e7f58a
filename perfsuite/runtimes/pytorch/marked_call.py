"""One call of a module that is watched from within: its layers, and what libraries say of each.

Operators are intercepted as PyTorch dispatches them. Before and after each layer (a convolution, a
matrix product, a recurrent layer, an attention) a mark is written where oneDNN and MKL write, so
that their lines between two marks are of that layer. It is slower than a plain call, and timed by
nobody.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from perfsuite.domain.task import Inputs
from perfsuite.runtimes.pytorch.memory import memory
from perfsuite.runtimes.pytorch.profile import Run, paths_of, scoped
from perfsuite.runtimes.pytorch.verbose import heard
from perfsuite.runtimes.shared.denormals import Share, denormals

if TYPE_CHECKING:
    import torch
    from torch import nn

_LAYER = re.compile(
    r"""(?!\w*(prepack|reorder|unpack))_*(
        \w*conv(?!ert)(olution)?\w*
        | (\w+_)?(add|badd|_?int_?)?b?mm(_\w+)? | addbmm | baddbmm | (add)?mv | v?dot
        | matmul | einsum | (\w+_)?linear(_relu|_dynamic)? | _?trilinear | bilinear
        | (\w+_)?(lstm|gru|rnn_\w+|rnn_layer)(_cell)? | \w*attention\w* | \w*transformer_encoder\w*
    )_?""",
    re.VERBOSE,
)
_CONVOLUTION = re.compile(r"_*\w*conv(?!ert)")
_MOST = 1 << 20  # values of a tensor that are looked at


def is_layer(operator: str) -> bool:
    """Tell whether an operator is a layer, by its name without the namespace."""
    return _LAYER.fullmatch(operator) is not None


class Layer(NamedTuple):
    """One layer that ran: the path of its module, what it computes, and its lines.

    `shapes` are those of the first two tensors that it was given, and `layouts` their layouts, of a
    convolution alone: its input and its weights.
    """

    path: str
    operator: str
    namespace: str  # "aten", or of whom the operator is
    dtype: str  # of its first tensor, in torch's word, such as "float32"
    lines: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...] = ()
    layouts: tuple[str, ...] = ()


class Watched(NamedTuple):
    """What a call has shown: its layers in their order, and denormals in what operators answer.

    `lines` are all that libraries said, `speaking` are those that can speak.
    """

    layers: list[Layer]
    lines: list[str]
    speaking: list[str]
    answers: list[Share]


def watched(module: nn.Module, run: Run, spans: Sequence[str], inputs: Inputs) -> Watched:
    """Return what a call of `run`, which calls `module`, shows of its layers."""
    seen: list[Layer] = []
    answers: list[Share] = []
    inside = [""]

    @contextlib.contextmanager
    def scope(path: str) -> Iterator[None]:
        inside.append(path)
        try:
            yield
        finally:
            inside.pop()

    with heard() as (found, mark):
        catch = _catch(seen, answers, inside, mark)
        with scoped(module, paths_of(module, spans), scope), catch:
            run(inputs)
    lines: dict[int, list[str]] = {}
    for number, line in found.lines:
        lines.setdefault(number, []).append(line)
    # Even marks begin layers, odd ones end them.
    layers = [one._replace(lines=tuple(lines.get(2 * n, ()))) for n, one in enumerate(seen)]
    return Watched(layers, [line for _, line in found.lines], found.speaking, answers)


def _catch(
    seen: list[Layer], answers: list[Share], inside: Sequence[str], mark: Callable[[int], None]
) -> Any:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Catch(TorchDispatchMode):  # type: ignore[no-untyped-call]
        supports_higher_order_operators = True

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            named = kwargs or {}
            name, namespace = _name(func)
            given = _tensors((args, named))
            if not is_layer(name):
                answer = func(*args, **named)
            else:
                number = len(seen)
                seen.append(_layer(inside[-1], name, namespace, given))
                mark(2 * number)
                answer = func(*args, **named)
                mark(2 * number + 1)
            where = inside[-1] or name
            answers.extend(_made(where, answer, given))
            return answer

    return Catch()  # type: ignore[no-untyped-call]


def _name(func: Any) -> tuple[str, str]:
    """Return an operator's name and its namespace; control flow has no packet."""
    packet = getattr(func, "overloadpacket", func)
    return str(packet.__name__), str(getattr(func, "namespace", ""))


def _layer(path: str, name: str, namespace: str, given: Sequence[torch.Tensor]) -> Layer:
    dtype = str(given[0].dtype).removeprefix("torch.") if given else ""
    layouts: tuple[str, ...] = ()
    if _CONVOLUTION.match(name):
        layouts = tuple(memory_format(tensor) for tensor in given[:2])
    shapes = tuple(tuple(map(int, tensor.shape)) for tensor in given[:2])
    return Layer(path, name, namespace, dtype, (), shapes, layouts)


def memory_format(tensor: torch.Tensor) -> str:
    """Return `contiguous`, `channels-last` or `neither`; `opaque` of a layout that is not strides.

    What is both, as the weights of a 1x1 convolution, is contiguous.
    """
    import torch

    if tensor.layout is not torch.strided:
        return "opaque"
    if tensor.is_contiguous():
        return "contiguous"
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    wanted = formats.get(tensor.dim())
    if wanted is not None and tensor.is_contiguous(memory_format=wanted):
        return "channels-last"
    return "neither"


def _made(where: str, answer: Any, given: Sequence[torch.Tensor]) -> Iterator[Share]:
    """Yield the denormals among values that an operator has made; views are not made."""
    known = {memory(tensor) for tensor in given}
    for tensor in _tensors(answer):
        if memory(tensor) not in known:
            yield tensor_denormals(where, _some(tensor))


def tensor_denormals(name: str, tensor: torch.Tensor) -> Share:
    """Return the share of denormals in a tensor; of nothing where it is not on the processor."""
    import torch

    types = {torch.float32: "", torch.float64: "", torch.bfloat16: "bfloat16"}
    if (
        tensor.device.type != "cpu"
        or tensor.layout is not torch.strided
        or tensor.dtype not in types
        or tensor.is_neg()
    ):
        return Share(name, 0, 0)
    plain = tensor.detach()
    if types[tensor.dtype]:
        plain = plain.contiguous().view(torch.int16)
    return denormals(name, plain.numpy(), types[tensor.dtype])


def _some(tensor: torch.Tensor) -> torch.Tensor:
    """Return the first entries along the first axis, about `_MOST` values."""
    import torch

    if tensor.layout is not torch.strided or tensor.dim() == 0 or tensor.numel() <= _MOST:
        return tensor
    return tensor[: max(1, _MOST * len(tensor) // tensor.numel())]


def _tensors(values: Any) -> list[torch.Tensor]:
    import torch
    from torch.utils._pytree import tree_leaves

    return [one for one in tree_leaves(values) if isinstance(one, torch.Tensor)]
