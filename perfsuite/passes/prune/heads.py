"""Attention with fewer heads: torch's own module wants its heads to be as wide as its input."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn


def can_lose_heads(module: nn.Module) -> bool:
    """Tell whether a module is torch's attention, with all projections in one tensor."""
    from torch import nn

    return (
        isinstance(module, nn.MultiheadAttention)
        and module.in_proj_weight is not None
        and module.bias_k is None
        and not module.add_zero_attn
    )


def with_heads(module: Any, size: torch.Size) -> None:
    """Let torch's attention compute with as many heads as rows of this size hold."""
    module.__class__ = fewer_heads()
    module.num_heads = size[0] // 3 // module.head_dim
    module._qkv_same_embed_dim = False  # torch's fused encoder layer knows no other widths


@cache
def fewer_heads() -> type[nn.Module]:
    """Return the class of torch's attention with fewer heads than its input has channels for."""
    import torch
    from torch import nn
    from torch.nn import functional

    class FewerHeads(nn.MultiheadAttention):
        """Answers as `torch.nn.MultiheadAttention` does, with as many heads as it has weights."""

        def forward(
            self,
            query: torch.Tensor,
            key: torch.Tensor,
            value: torch.Tensor,
            key_padding_mask: torch.Tensor | None = None,
            need_weights: bool = True,
            attn_mask: torch.Tensor | None = None,
            average_attn_weights: bool = True,
            is_causal: bool = False,
        ) -> tuple[torch.Tensor, torch.Tensor | None]:
            batched = query.dim() == 3
            given = [query, key, value]
            if not batched:
                given = [each.unsqueeze(0) for each in given]
            elif not self.batch_first:
                given = [each.transpose(0, 1) for each in given]
            weights = self.in_proj_weight.chunk(3)
            biases = [None] * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
            q, k, v = (
                functional.linear(each, weight, bias)
                .reshape(*each.shape[:2], self.num_heads, self.head_dim)
                .transpose(1, 2)
                for each, weight, bias in zip(given, weights, biases, strict=True)
            )
            mask = _mask(attn_mask, key_padding_mask, q)
            dropped = self.dropout if self.training else 0.0
            shares = None
            if need_weights:
                scores = (q * self.head_dim**-0.5) @ k.transpose(-2, -1)
                shares = (scores if mask is None else scores + mask).softmax(-1)
                result = functional.dropout(shares, self.dropout, self.training) @ v
                shares = shares.mean(1) if average_attn_weights else shares
                shares = shares if batched else shares.squeeze(0)
            else:
                result = functional.scaled_dot_product_attention(q, k, v, mask, dropped)
            result = self.out_proj(result.transpose(1, 2).flatten(2))
            if not batched:
                return result.squeeze(0), shares
            return (result if self.batch_first else result.transpose(0, 1)), shares

    def _mask(
        attention: torch.Tensor | None, padding: torch.Tensor | None, like: torch.Tensor
    ) -> torch.Tensor | None:
        """Return what is added to the scores of (samples, heads, queries, keys)."""
        found = None
        for mask, padded in ((attention, False), (padding, True)):
            if mask is None:
                continue
            if mask.dtype == torch.bool:
                mask = torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, float("-inf"))
            if padded:
                mask = mask.reshape(-1, 1, 1, mask.shape[-1])
            elif mask.dim() == 3:
                mask = mask.reshape(len(like), -1, *mask.shape[1:])
            found = mask if found is None else found + mask
        return found

    return FewerHeads
