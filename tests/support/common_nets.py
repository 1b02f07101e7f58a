"""Tiny nets of the kinds that people bring: what their code does with channels, and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from prune_nets import CLASSES, Toy, conv, pair, pooled
from torch import nn
from torch.nn import functional
from torchvision.ops import FrozenBatchNorm2d

Net = Callable[[], nn.Module]


def between(what: Callable[[Any, torch.Tensor], torch.Tensor], **layers: nn.Module) -> nn.Module:
    """a, what, b, head; `what` is given the net and the 16 channels of a."""
    more = {"b": conv(16, 8), "head": nn.Linear(8, CLASSES)}
    return Toy(
        lambda n, x: n.head(pooled(n.b(what(n, n.a(x))))), a=conv(3, 16), **{**more, **layers}
    )


def block(layer: nn.Module, width: int = 16) -> nn.Module:
    return between(lambda n, x: n.layer(x).relu(), layer=layer, b=conv(width, 8))


class Scaled(nn.Module):
    """A residual block as ConvNeXt's: linear layers on the last axis, and a scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.rise, self.fall = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 0.3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x.permute(0, 2, 3, 1))
        y = self.gamma * self.fall(functional.gelu(self.rise(y)))
        return x + y.permute(0, 3, 1, 2)


class Heads(nn.Module):
    """Attention as timm has it: one linear layer for all, cut up by attributes."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.num_heads, self.size = heads, width // heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        samples, places, _ = x.shape
        qkv = self.qkv(x).reshape(samples, places, 3, self.num_heads, self.size)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        y = ((q @ k.transpose(-2, -1)) * self.size**-0.5).softmax(-1) @ v
        found: torch.Tensor = self.proj(y.transpose(1, 2).reshape(samples, places, -1))
        return found


class Fused(Heads):
    """The same by torch's own function."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        qkv = self.qkv(x).reshape(*x.shape[:2], 3, self.num_heads, self.size)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        found: torch.Tensor = self.proj(y.flatten(2))
        return found


class Attention(nn.Module):
    """Torch's own, of its input on itself."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.inner(x, x, x)[0]
        return found


class C2f(nn.Module):
    """YOLO's: one half goes through a bottleneck, and all is concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.cv1, self.cv2, self.m = conv(16, 16, 1), conv(24, 16, 1), conv(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = list(self.cv1(x).chunk(2, 1))
        y.append(y[-1] + functional.silu(self.m(y[-1])))
        found: torch.Tensor = self.cv2(torch.cat(y, 1))
        return found


def dense() -> nn.Module:
    """Each layer reads all before it: DenseNet."""
    layers = {"one": conv(16, 8), "two": conv(24, 8), "b": conv(32, 8)}
    norms = {"n1": nn.BatchNorm2d(16), "n2": nn.BatchNorm2d(24), "n3": nn.BatchNorm2d(32)}

    def grow(n: Any, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([x, n.one(n.n1(x).relu())], 1)
        x = torch.cat([x, n.two(n.n2(x).relu())], 1)
        found: torch.Tensor = n.n3(x).relu()
        return found

    return between(grow, **layers, **norms)


def unet() -> nn.Module:
    layers = {"down": conv(16, 32, stride=2), "up": nn.ConvTranspose2d(32, 16, 2, stride=2)}
    return between(lambda n, x: torch.cat([n.up(n.down(x).relu()), x], 1), **layers, b=conv(32, 8))


def se_with_linear() -> nn.Module:
    def squeeze(n: Any, x: torch.Tensor) -> torch.Tensor:
        count, width = x.shape[:2]
        s = functional.adaptive_avg_pool2d(x, 1).view(count, width)
        return x * n.rise(n.fall(s).relu()).sigmoid().view(count, width, 1, 1)

    return between(squeeze, fall=nn.Linear(16, 4), rise=nn.Linear(4, 16))


def volume() -> nn.Module:
    return Toy(
        lambda n, x: n.head(
            functional.adaptive_avg_pool3d(n.b(n.a(x[:, :, None]).relu()), 1).flatten(1)
        ),
        **{"a": nn.Conv3d(3, 16, 3, padding=1), "b": nn.Conv3d(16, 8, 1), "head": nn.Linear(8, 4)},
    )


def line(what: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    return Toy(
        lambda n, x: n.head(n.b(what(n.a(x.flatten(2)))).mean(2)),
        **{"a": nn.Conv1d(3, 16, 3, padding=1), "b": nn.Conv1d(16, 8, 3), "head": nn.Linear(8, 4)},
    )


def tokens(layer: nn.Module) -> nn.Module:
    def attend(n: Any, x: torch.Tensor) -> torch.Tensor:
        y = x.flatten(2).transpose(1, 2)
        return (y + n.layer(y)).transpose(1, 2).reshape(x.shape)

    return between(attend, layer=layer)


def maxout(n: Any, x: torch.Tensor) -> torch.Tensor:
    y = n.wide(x)
    return y.view(len(y), y.shape[1] // 2, 2, *y.shape[2:]).amax(2)


def put(n: Any, x: torch.Tensor) -> torch.Tensor:
    """Write samples one by one into zeros, as detectors do with what they cut out."""
    result = torch.zeros((len(x), x.shape[1], *x.shape[2:]))
    for index in range(len(x)):
        chosen = torch.arange(len(x)) == index
        result[chosen] = x[chosen]
    return result


def shuffled(n: Any, x: torch.Tensor) -> torch.Tensor:
    count, width, *sides = x.shape
    return x.view(count, 2, width // 2, *sides).transpose(1, 2).reshape(count, width, *sides)


# By the kind: the net, and the layers by which its groups are called.
NETS: dict[str, tuple[Net, str]] = {
    "dense": (dense, "a one two b"),
    "unet": (unet, "a down up b"),
    "c2f": (lambda: block(C2f()), "a layer.cv1 layer.cv2 b"),
    "shuffle": (lambda: between(shuffled), "a b"),
    "put": (lambda: between(put), "a b"),
    "channel_shuffle": (lambda: between(lambda n, x: functional.channel_shuffle(x, 4)), "a b"),
    "prelu": (lambda: block(nn.PReLU(16)), "a b"),
    "prelu_one": (lambda: block(nn.PReLU()), "a b"),
    "group_norm": (lambda: block(nn.GroupNorm(4, 16)), "a b"),
    "group_norm_plain": (lambda: block(nn.GroupNorm(4, 16, affine=False)), "a b"),
    "instance_norm": (lambda: block(nn.InstanceNorm2d(16)), "a b"),
    "instance_norm_affine": (lambda: block(nn.InstanceNorm2d(16, affine=True)), "a b"),
    "glu": (
        lambda: between(lambda n, x: functional.glu(n.wide(x), 1), wide=conv(16, 32)),
        "a wide b",
    ),
    "gated": (
        lambda: between(lambda n, x: (y := n.wide(x).chunk(2, 1))[0] * y[1], wide=conv(16, 32)),
        "a wide b",
    ),
    "maxout": (lambda: between(maxout, wide=conv(16, 32)), "a wide b"),
    "maximum": (lambda: between(lambda n, x: torch.maximum(x, n.c(x)), c=conv(16, 16)), "a b"),
    "where": (lambda: between(lambda n, x: torch.where(x > 0, x, n.c(x)), c=conv(16, 16)), "a b"),
    "grouped": (lambda: block(conv(16, 16, groups=4)), "a b"),
    "grouped_large": (lambda: block(conv(16, 32, groups=2), 32), "a layer b"),
    "depth_multiplier": (lambda: block(conv(16, 32, groups=16), 32), "a b"),
    "transposed": (lambda: block(nn.ConvTranspose2d(16, 16, 2, stride=2)), "a layer b"),
    "transposed_grouped": (lambda: block(nn.ConvTranspose2d(16, 16, 2, groups=16)), "a b"),
    "squeezed": (
        lambda: between(
            lambda n, x: n.c(x.mean((2, 3), keepdim=True).squeeze(3).squeeze(2))[..., None, None],
            c=nn.Linear(16, 16),
        ),
        "a c b",
    ),
    "se_with_linear": (se_with_linear, "a fall b"),
    "frozen_norm": (lambda: block(FrozenBatchNorm2d(16)), "a b"),
    "sync_norm": (
        lambda: nn.SyncBatchNorm.convert_sync_batchnorm(block(nn.BatchNorm2d(16))),
        "a b",
    ),
    "channels_last": (lambda: pair().to(memory_format=torch.channels_last), "a b"),
    "layer_scale": (lambda: block(Scaled(16)), "layer.rise b"),
    "pad": (lambda: between(lambda n, x: functional.pad(x, (0, 1, 0, 1)).relu()), "a b"),
    "reflect": (lambda: between(lambda n, x: functional.pad(x, (1,) * 4, mode="reflect")), "a b"),
    "circular": (lambda: block(conv(16, 16, padding_mode="circular")), "a layer b"),
    "replicate": (lambda: block(conv(16, 16, padding_mode="replicate")), "a layer b"),
    "max_pool_1d": (lambda: line(lambda x: functional.max_pool1d(x.relu(), 2)), "a b"),
    "volume": (volume, "a b"),
    "adaptive_max": (lambda: between(lambda n, x: functional.adaptive_max_pool2d(x, 4)), "a b"),
    "gem": (
        lambda: between(lambda n, x: functional.avg_pool2d(x.clamp(min=1e-6).pow(3), 2).pow(1 / 3)),
        "a b",
    ),
    "mish": (lambda: between(lambda n, x: x * torch.tanh(functional.softplus(x))), "a b"),
    "crop": (lambda: between(lambda n, x: x[:, :, 1:-1, 1:-1].relu()), "a b"),
    "permuted": (
        lambda: between(lambda n, x: x.permute(0, 2, 3, 1).relu().permute(0, 3, 1, 2)),
        "a b",
    ),
    "pixel_shuffle": (
        lambda: between(lambda n, x: functional.pixel_shuffle(n.w(x), 2), w=conv(16, 64)),
        "a w b",
    ),
    "zeros": (lambda: between(lambda n, x: x + torch.zeros_like(x) + x.new_zeros(x.shape)), "a b"),
    "expand": (
        lambda: between(lambda n, x: x * n.one(x).sigmoid().expand_as(x), one=conv(16, 1)),
        "a b",
    ),
    "mlp": (
        lambda: tokens(nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))),
        "a layer.0 b",
    ),
    "heads": (lambda: tokens(Heads(16, 4)), "a layer.qkv b"),
    "torchs_heads": (lambda: tokens(Attention(16, 4)), "layer.inner b"),
    "encoder": (
        lambda: between(
            lambda n, x: n.layer(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(x.shape),
            layer=nn.TransformerEncoderLayer(16, 4, 32, batch_first=True),
        ),
        "layer.self_attn layer.linear1 b",
    ),
    "fused_heads": (lambda: tokens(Fused(16, 4)), "a layer.qkv b"),
}
