"""The state of a torch module: as bytes for a key, as arrays for edits, and loaded back.

NumPy and safetensors have not all types that torch has, and a state holds more than tensors: what
a module stores beside them (`get_extra_state`, packed weights), and the versions of its layout.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.errors import ConfigError, Unsupported
from perfsuite.export.attributes import Attributes
from perfsuite.export.closures import rebind

if TYPE_CHECKING:
    import torch
    from torch import nn

_DEEPEST = 8  # of nested values that a module stores beside its tensors


def check_loaded(module: nn.Module, whose: str) -> None:
    """Raise `ConfigError` for a module whose weights are not there: lazy, or on the meta device."""
    from torch.nn.parameter import is_lazy

    for name, tensor in _named_tensors(module):
        if is_lazy(tensor):
            raise ConfigError(
                f"{whose}: '{name}' is lazy, it has no shape before the first call; call the "
                f"module once in build(), after torch.manual_seed, with an input like those of "
                f"inputs()"
            )
        if tensor.is_meta:
            raise ConfigError(
                f"{whose}: '{name}' is on the meta device, where tensors hold no values; make the "
                f"module on the processor in build(), and load its weights"
            )


def on_processor(module: nn.Module) -> nn.Module:
    """Return `module` with all of it on the processor, from where runtimes place it."""
    if any(tensor.device.type != "cpu" for _, tensor in _named_tensors(module)):
        module.to("cpu")
    return module


def duplicate(module: nn.Module) -> nn.Module:
    """Return a copy of `module`; raise whatever `copy.deepcopy` does.

    Tensors that a call has left in it, as in features that it remembers, are copied without their
    graph, of which no copy can be made. Functions that refer to the module, as hooks may, refer to
    the copy in it.
    """
    left = (one for part in module.modules() for one in Attributes(part).tensors())
    known: dict[int, Any] = {
        id(one): one.detach().clone() for one in left if one.grad_fn is not None
    }
    copied = copy.deepcopy(module, known)
    rebind(copied, known)
    return copied


def state_parts(module: nn.Module) -> Iterator[str | bytes]:
    """Yield texts and bytes that differ if anything in the module's state does, by name."""
    for name, value in sorted(module.state_dict().items()):
        yield from (name, *value_parts(value))


def value_parts(value: Any) -> Iterator[str | bytes]:
    """Yield texts and bytes that differ if a value of a state does."""
    if _is_dense(value):
        yield from (str(value.dtype), _bytes(value))
    else:
        yield from _parts(value)


def storable(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors of the state that a file of tensors can hold, tied ones once."""
    found: dict[str, torch.Tensor] = {}
    places, storages = set(), set()
    for name, value in module.state_dict().items():
        if not _is_dense(value) or (value.numel() and _place(value) in places):
            continue
        places.add(_place(value))
        tensor = value.detach().cpu().contiguous()
        storage = tensor.untyped_storage().data_ptr()
        found[name] = tensor.clone() if storage in storages else tensor
        storages.add(storage)
    return found


def as_arrays(module: nn.Module) -> dict[str, np.ndarray]:
    """Return copies of all tensors of the state as NumPy arrays, by name.

    Types that NumPy has not become float32, which holds their values, and complex ones pairs of
    numbers; `from_arrays` makes them again what they were. Raises `Unsupported` for weights that no
    array can hold.
    """
    import torch

    own = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    arrays = {}
    for name, value in module.state_dict().items():
        if not _is_dense(value):
            if name in own:
                raise Unsupported(
                    f"{type(module).__name__}: '{name}' is {_kind(value)}, and what a pass makes "
                    f"of a net is kept as plain arrays; take a dense layer in its place"
                )
            continue  # it stays as the module was built
        tensor = value.detach().cpu()
        if tensor.is_complex():
            tensor = torch.view_as_real(tensor.resolve_conj())
        if tensor.is_floating_point() and not _has_numpy(tensor):
            tensor = tensor.float()
        arrays[name] = tensor.contiguous().numpy().copy()
    return arrays


def load(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Load tensors by name, all that `storable` or `from_arrays` gives for such a module.

    What these leave out stays as it is. Raises `RuntimeError`, as torch does, for tensors that are
    missing, of no use, or of another shape.
    """
    own = module.state_dict()
    places = {_place(own[name]): name for name in tensors if _is_dense(own.get(name))}
    # Versions of the layout, without which modules take their state for one of an older torch.
    state: OrderedDict[str, Any] = OrderedDict()
    state._metadata = getattr(own, "_metadata", None)  # type: ignore[attr-defined]
    for name, mine in own.items():
        if name in tensors:
            state[name] = tensors[name]
        elif not _is_dense(mine):
            state[name] = mine
        elif _place(mine) in places:
            state[name] = tensors[places[_place(mine)]]
    state.update({name: given for name, given in tensors.items() if name not in own})
    module.load_state_dict(state, strict=True)


def from_arrays(module: nn.Module, arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Return what `as_arrays` gave as tensors of the types that they have in `module`."""
    import torch

    own = module.state_dict()
    found = {}
    for name, array in arrays.items():
        tensor, mine = torch.from_numpy(array.copy()), own.get(name)
        if mine is not None and _is_dense(mine):
            if mine.is_complex() and not tensor.is_complex():
                tensor = torch.view_as_complex(tensor)
            tensor = tensor.to(mine.dtype)
        found[name] = tensor
    return found


def _named_tensors(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


def _is_dense(value: Any) -> bool:
    """Tell whether it is a tensor whose values are laid out one by one, in a type of numbers."""
    import torch

    return (
        isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and not (value.is_quantized or value.is_meta or value.is_nested)
    )


def _has_numpy(tensor: torch.Tensor) -> bool:
    try:
        tensor[..., :0].numpy() if tensor.ndim else tensor.numpy()
    except TypeError:
        return False
    return True


def _place(tensor: torch.Tensor) -> tuple[Any, ...]:
    """Return what tensors have in common that are one and the same."""
    storage = tensor.untyped_storage().data_ptr()
    return storage, tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype


def _bytes(tensor: torch.Tensor) -> bytes:
    import torch

    tensor = tensor.detach().cpu().contiguous().resolve_conj().resolve_neg()
    if _has_numpy(tensor):
        return tensor.numpy().tobytes()
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


def _kind(value: Any) -> str:
    import torch

    if not isinstance(value, torch.Tensor):
        return f"a {type(value).__name__}"
    if value.is_quantized:
        return f"a quantized tensor ({value.dtype})"
    return f"a tensor in the layout {value.layout}"


def _parts(value: Any, depth: int = 0) -> Iterator[str | bytes]:
    """Yield texts and bytes of a value that a module stores beside its tensors."""
    import torch

    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    yield kind
    if depth == _DEEPEST:
        return
    if isinstance(value, torch.Tensor):
        yield from _tensor_parts(value)
    elif isinstance(value, np.ndarray):
        yield from (str(value.dtype), str(value.shape), value.tobytes())
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield repr(key)
            yield from _parts(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _parts(item, depth + 1)
    elif isinstance(value, set | frozenset):
        yield from sorted(map(repr, value))
    elif isinstance(value, bool | int | float | complex | str | bytes | torch.dtype | type(None)):
        yield repr(value)
    else:
        for name, item in sorted(getattr(value, "__dict__", {}).items()):
            yield name
            yield from _parts(item, depth + 1)


def _tensor_parts(value: torch.Tensor) -> Iterator[str | bytes]:
    import torch

    yield from (str(value.dtype), str(value.layout), str(tuple(value.shape)))
    if value.is_quantized:
        yield value.int_repr().cpu().contiguous().numpy().tobytes()
        if value.qscheme() in (torch.per_channel_affine, torch.per_channel_symmetric):
            yield from (_bytes(value.q_per_channel_scales()), str(value.q_per_channel_axis()))
            yield _bytes(value.q_per_channel_zero_points())
        elif value.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            yield f"{value.q_scale()!r} {value.q_zero_point()}"
        else:
            yield _bytes(value.dequantize())
    elif value.layout is torch.sparse_coo:
        whole = value.coalesce()
        yield from (_bytes(whole.indices()), _bytes(whole.values()))
    elif value.is_nested or value.layout is not torch.strided:
        yield from (_bytes(part) for part in _inner(value))
    else:
        yield _bytes(value)


def _inner(value: torch.Tensor) -> list[torch.Tensor]:
    """Return the dense parts of a nested or compressed tensor."""
    import torch

    if value.is_nested:
        return list(value.unbind())
    if value.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [value.crow_indices(), value.col_indices(), value.values()]
    if value.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [value.ccol_indices(), value.row_indices(), value.values()]
    return [value.to_dense()]
