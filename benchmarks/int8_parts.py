"""The parts of int8_nets.py: how its nets compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as f


class Net(nn.Module):
    """A net of named parts and a function over them and the input."""

    def __init__(self, forward: Callable[[Net, Tensor], Any], **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self._forward = forward

    def forward(self, x: Tensor) -> Any:
        """Return what the function makes of `x`."""
        return self._forward(self, x)


def conv(
    inputs: int,
    outputs: int,
    size: int = 3,
    act: type[nn.Module] | None = nn.ReLU,
    norm: bool = True,
    **more: Any,
) -> nn.Sequential:
    """Return a convolution that keeps the size, a normalization and an activation."""
    more.setdefault("padding", size // 2 * more.get("dilation", 1))
    parts: list[nn.Module] = [nn.Conv2d(inputs, outputs, size, bias=not norm, **more)]
    parts += [nn.BatchNorm2d(outputs)] if norm else []
    parts += [act()] if act else []
    return nn.Sequential(*parts)


def head(inputs: int, classes: int = 10) -> nn.Sequential:
    """Return global pooling and a linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def plain(act: type[nn.Module] = nn.ReLU) -> nn.Module:
    return nn.Sequential(
        conv(3, 16, act=act), conv(16, 32, act=act, stride=2), conv(32, 32, act=act), head(32)
    )


def residual(n: Any, x: Tensor) -> Tensor:
    x = n.stem(x)
    x = f.relu(x + n.a2(n.a1(x)))
    return n.head(f.relu(x + n.b2(n.b1(x))))


def unet(n: Any, x: Tensor) -> Tensor:
    one = n.one(x)
    two = n.two(f.max_pool2d(one, 2))
    up = f.interpolate(two, scale_factor=2.0, mode="nearest")
    return n.last(n.three(torch.cat([one, up], 1)))


def unet_transposed(n: Any, x: Tensor) -> Tensor:
    one = n.one(x)
    return n.last(n.three(torch.cat([one, n.up(n.two(f.max_pool2d(one, 2)))], 1)))


def concat_ranges(n: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    small = 0.02 * n.small(x)
    small = n.keep(small)
    large = n.large(x) * 30
    joined = n.joined(torch.cat([small, large], 1))
    return n.head(joined), n.fine(small)


def concat_map(n: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    small, large = n.small(x), n.large(x)
    return n.joined(torch.cat([small, large], 1)), n.fine(small)


def dense(n: Any, x: Tensor) -> Tensor:
    x = n.stem(x)
    for layer in (n.a, n.b, n.c):
        x = torch.cat([x, layer(x)], 1)
    return n.head(x)


def middle_out(n: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    middle = n.two(n.one(x))
    return n.four(n.three(f.relu(middle))), middle


def broadcast(n: Any, x: Tensor) -> Tensor:
    x = n.stem(x)
    rows, columns = n.rows(x.mean(3, keepdim=True)), n.columns(x.mean(2, keepdim=True))
    return n.head(n.mix(rows + columns))


def scalar_sums(n: Any, x: Tensor) -> Tensor:
    x = n.stem(x)
    return n.head(n.mix(x + n.gate(f.adaptive_avg_pool2d(x, 1))))


def squeeze(n: Any, x: Tensor) -> Tensor:
    x = n.stem(x)
    gate = torch.sigmoid(n.up(f.relu(n.down(f.adaptive_avg_pool2d(x, 1)))))
    return n.head(n.mix(x * gate))


def largest(n: Any, x: Tensor) -> Tensor:
    a, b = n.a(x), n.b(x)
    return n.head(n.mix(torch.where(a > 0.3, torch.maximum(a, b), 0.1 * b)))


def split_in_two(n: Any, x: Tensor) -> Tensor:
    a, b = n.stem(x).chunk(2, 1)
    return n.head(torch.cat([a, n.one(b), n.two(n.one(b))], 1))


def shuffle(n: Any, x: Tensor) -> Tensor:
    a, b = n.stem(x).chunk(2, 1)
    x = torch.cat([a, n.one(b)], 1)
    x = x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)
    return n.head(n.two(x))


def pyramid(n: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    one = n.one(x)
    two = n.two(one)
    top = n.lateral2(two)
    bottom = n.lateral1(one) + f.interpolate(top, scale_factor=2.0, mode="nearest")
    return n.shared(top), n.shared(bottom)


def attend(n: Any, x: Tensor) -> Tensor:
    x = n.patches(x).flatten(2).transpose(1, 2) + n.place
    y = n.norm1(x)
    q, k, v = (t.unflatten(2, (2, 16)).transpose(1, 2) for t in n.qkv(y).chunk(3, 2))
    y = torch.softmax(q @ k.transpose(2, 3) / 4, -1) @ v
    x = x + n.out(y.transpose(1, 2).flatten(2))
    x = x + n.mlp2(f.gelu(n.mlp1(n.norm2(x))))
    return n.head(n.norm3(x).mean(1))


class Attention(Net):
    def __init__(self) -> None:
        norms = {f"norm{i}": nn.LayerNorm(32) for i in (1, 2, 3)}
        linear = {"qkv": nn.Linear(32, 96), "out": nn.Linear(32, 32), "head": nn.Linear(32, 10)}
        mlp = {"mlp1": nn.Linear(32, 64), "mlp2": nn.Linear(64, 32)}
        super().__init__(attend, patches=nn.Conv2d(3, 32, 8, 8), **norms, **linear, **mlp)
        self.place = nn.Parameter(0.3 * torch.randn(1, 16, 32))


def convnext(n: Any, x: Tensor) -> Tensor:
    x = n.stem(x)
    y = n.norm(n.depth(x).permute(0, 2, 3, 1))
    x = x + n.narrow(f.gelu(n.wide(y))).permute(0, 3, 1, 2)
    return n.head(x)


def gru(n: Any, x: Tensor) -> Tensor:
    x = n.stem(x).mean(2).transpose(1, 2)
    return n.last(n.gru(x)[0][:, -1])
