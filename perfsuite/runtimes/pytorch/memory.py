"""Where a tensor's values lie, and how many bytes they take; a sparse tensor consists of parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def memory(tensor: torch.Tensor) -> int:
    """Return a number that tensors have in common whose values lie in the same memory."""
    import torch

    if tensor.layout is not torch.strided:
        return id(tensor)
    return int(tensor.untyped_storage().data_ptr())


def size_bytes(tensor: torch.Tensor) -> int:
    """Return how many bytes a tensor's values take, and of a sparse one its indices, too."""
    return sum(one.numel() * one.element_size() for one in _parts(tensor))


def _parts(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    import torch

    if tensor.layout is torch.sparse_coo:
        return tensor._indices(), tensor._values()
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return tensor.crow_indices(), tensor.col_indices(), tensor.values()
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return tensor.ccol_indices(), tensor.row_indices(), tensor.values()
    return (tensor,)
