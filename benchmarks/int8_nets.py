"""Small nets of odd kinds with random weights, to see what quantization makes of them.

Weights are drawn as trained ones are distributed: with long tails, scaled so that values keep
their size from layer to layer, with normalizations that fit the samples and channels whose
ranges differ. All is seeded.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as f

Shape = tuple[int, ...]
Kind = tuple[Callable[[], nn.Module], Shape]


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


def _plain(act: type[nn.Module] = nn.ReLU) -> nn.Module:
    return nn.Sequential(
        conv(3, 16, act=act), conv(16, 32, act=act, stride=2), conv(32, 32, act=act), head(32)
    )


def _residual(n: Any, x: Tensor) -> Tensor:
    x = n.stem(x)
    x = f.relu(x + n.a2(n.a1(x)))
    return n.head(f.relu(x + n.b2(n.b1(x))))


def _unet(n: Any, x: Tensor) -> Tensor:
    one = n.one(x)
    two = n.two(f.max_pool2d(one, 2))
    up = f.interpolate(two, scale_factor=2.0, mode="nearest")
    return n.last(n.three(torch.cat([one, up], 1)))


def _unet_transposed(n: Any, x: Tensor) -> Tensor:
    one = n.one(x)
    return n.last(n.three(torch.cat([one, n.up(n.two(f.max_pool2d(one, 2)))], 1)))


def _concat_ranges(n: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    small = 0.02 * n.small(x)
    small = n.keep(small)
    large = n.large(x) * 30
    joined = n.joined(torch.cat([small, large], 1))
    return n.head(joined), n.fine(small)


def _concat_map(n: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    small, large = n.small(x), n.large(x)
    return n.joined(torch.cat([small, large], 1)), n.fine(small)


def _dense(n: Any, x: Tensor) -> Tensor:
    x = n.stem(x)
    for layer in (n.a, n.b, n.c):
        x = torch.cat([x, layer(x)], 1)
    return n.head(x)


def _middle(n: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    middle = n.two(n.one(x))
    return n.four(n.three(f.relu(middle))), middle


def _broadcast(n: Any, x: Tensor) -> Tensor:
    x = n.stem(x)
    rows, columns = n.rows(x.mean(3, keepdim=True)), n.columns(x.mean(2, keepdim=True))
    return n.head(n.mix(rows + columns))


def _scalar_sums(n: Any, x: Tensor) -> Tensor:
    x = n.stem(x)
    return n.head(n.mix(x + n.gate(f.adaptive_avg_pool2d(x, 1))))


def _squeeze(n: Any, x: Tensor) -> Tensor:
    x = n.stem(x)
    gate = torch.sigmoid(n.up(f.relu(n.down(f.adaptive_avg_pool2d(x, 1)))))
    return n.head(n.mix(x * gate))


def _maximum(n: Any, x: Tensor) -> Tensor:
    a, b = n.a(x), n.b(x)
    return n.head(n.mix(torch.where(a > 0.3, torch.maximum(a, b), 0.1 * b)))


def _split(n: Any, x: Tensor) -> Tensor:
    a, b = n.stem(x).chunk(2, 1)
    return n.head(torch.cat([a, n.one(b), n.two(n.one(b))], 1))


def _shuffle(n: Any, x: Tensor) -> Tensor:
    a, b = n.stem(x).chunk(2, 1)
    x = torch.cat([a, n.one(b)], 1)
    x = x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)
    return n.head(n.two(x))


def _pyramid(n: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    one = n.one(x)
    two = n.two(one)
    top = n.lateral2(two)
    bottom = n.lateral1(one) + f.interpolate(top, scale_factor=2.0, mode="nearest")
    return n.shared(top), n.shared(bottom)


def _attention(n: Any, x: Tensor) -> Tensor:
    x = n.patches(x).flatten(2).transpose(1, 2) + n.place
    y = n.norm1(x)
    q, k, v = (t.unflatten(2, (2, 16)).transpose(1, 2) for t in n.qkv(y).chunk(3, 2))
    y = torch.softmax(q @ k.transpose(2, 3) / 4, -1) @ v
    x = x + n.out(y.transpose(1, 2).flatten(2))
    x = x + n.mlp2(f.gelu(n.mlp1(n.norm2(x))))
    return n.head(n.norm3(x).mean(1))


class _Attention(Net):
    def __init__(self) -> None:
        norms = {f"norm{i}": nn.LayerNorm(32) for i in (1, 2, 3)}
        linear = {"qkv": nn.Linear(32, 96), "out": nn.Linear(32, 32), "head": nn.Linear(32, 10)}
        mlp = {"mlp1": nn.Linear(32, 64), "mlp2": nn.Linear(64, 32)}
        super().__init__(_attention, patches=nn.Conv2d(3, 32, 8, 8), **norms, **linear, **mlp)
        self.place = nn.Parameter(0.3 * torch.randn(1, 16, 32))


def _convnext(n: Any, x: Tensor) -> Tensor:
    x = n.stem(x)
    y = n.norm(n.depth(x).permute(0, 2, 3, 1))
    x = x + n.narrow(f.gelu(n.wide(y))).permute(0, 3, 1, 2)
    return n.head(x)


def _gru(n: Any, x: Tensor) -> Tensor:
    x = n.stem(x).mean(2).transpose(1, 2)
    return n.last(n.gru(x)[0][:, -1])


def _kinds() -> dict[str, Kind]:
    picture = (3, 32, 32)
    relu6 = nn.ReLU6
    return {
        "plain": (_plain, picture),
        "no normalization": (
            lambda: nn.Sequential(
                conv(3, 16, norm=False), conv(16, 16, norm=False), conv(16, 32, norm=False), head(32)
            ),
            picture,
        ),
        "clipped (ReLU6)": (lambda: _plain(relu6), picture),
        "hard swish": (lambda: _plain(nn.Hardswish), picture),
        "SiLU": (lambda: _plain(nn.SiLU), picture),
        "leaky ReLU": (lambda: _plain(nn.LeakyReLU), picture),
        "PReLU": (lambda: _plain(nn.PReLU), picture),
        "residual": (
            lambda: Net(
                _residual, stem=conv(3, 16), a1=conv(16, 16), a2=conv(16, 16, act=None),
                b1=conv(16, 16), b2=conv(16, 16, act=None), head=head(16),
            ),
            picture,
        ),
        "depthwise": (
            lambda: nn.Sequential(
                conv(3, 16, act=relu6), conv(16, 16, act=relu6, groups=16),
                conv(16, 32, 1, act=None), conv(32, 64, 1, act=relu6),
                conv(64, 64, act=relu6, groups=64, stride=2), conv(64, 32, 1, act=None), head(32),
            ),
            picture,
        ),
        "grouped, dilated": (
            lambda: nn.Sequential(
                conv(3, 16), conv(16, 32, groups=4), conv(32, 32, dilation=2, groups=2), head(32)
            ),
            picture,
        ),
        "shuffle": (
            lambda: Net(
                _shuffle, stem=conv(3, 16), one=conv(8, 8), two=conv(16, 16), head=head(16)
            ),
            picture,
        ),
        "split and concat": (
            lambda: Net(_split, stem=conv(3, 16), one=conv(8, 8), two=conv(8, 8), head=head(24)),
            picture,
        ),
        "dense": (
            lambda: Net(
                _dense, stem=conv(3, 8), a=conv(8, 8), b=conv(16, 8), c=conv(24, 8), head=head(32)
            ),
            picture,
        ),
        "concat, two ranges": (
            lambda: Net(
                _concat_ranges, small=conv(3, 8), keep=conv(8, 8, norm=False),
                large=conv(3, 8, norm=False), joined=conv(16, 16), head=head(16),
                fine=conv(8, 8, norm=False),
            ),
            picture,
        ),
        "concat, hidden small map": (
            lambda: _scaled(
                Net(
                    _concat_map, small=conv(3, 8, norm=False), large=conv(3, 8, norm=False),
                    joined=conv(16, 16), fine=conv(8, 8, norm=False),
                )
            ),
            picture,
        ),
        "U-Net": (
            lambda: Net(
                _unet, one=conv(3, 8), two=conv(8, 16), three=conv(24, 8), last=nn.Conv2d(8, 2, 1)
            ),
            picture,
        ),
        "U-Net, transposed": (
            lambda: Net(
                _unet_transposed, one=conv(3, 8), two=conv(8, 16),
                up=nn.ConvTranspose2d(16, 8, 2, 2), three=conv(16, 8), last=nn.Conv2d(8, 2, 1),
            ),
            picture,
        ),
        "feature pyramid": (
            lambda: Net(
                _pyramid, one=conv(3, 16), two=conv(16, 32, stride=2),
                lateral1=nn.Conv2d(16, 16, 1), lateral2=nn.Conv2d(32, 16, 1),
                shared=conv(16, 8, norm=False, act=None),
            ),
            picture,
        ),
        "output in the middle": (
            lambda: Net(
                _middle, one=conv(3, 16), two=conv(16, 16, act=None), three=conv(16, 32),
                four=head(32),
            ),
            picture,
        ),
        "normalization first": (
            lambda: nn.Sequential(nn.BatchNorm2d(3), conv(3, 16), conv(16, 32, stride=2), head(32)),
            picture,
        ),
        "normalization before activation and layer": (
            lambda: nn.Sequential(
                nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.BatchNorm2d(16),
                conv(16, 32), head(32),
            ),
            picture,
        ),
        "tiny variances": (lambda: _tiny(_plain()), picture),
        "broadcast sum": (
            lambda: Net(
                _broadcast, stem=conv(3, 16), rows=conv(16, 16, 1, act=None),
                columns=conv(16, 16, 1, act=None), mix=conv(16, 16), head=head(16),
            ),
            picture,
        ),
        "sum with a pooled map": (
            lambda: Net(
                _scalar_sums, stem=conv(3, 16), gate=nn.Conv2d(16, 16, 1), mix=conv(16, 16),
                head=head(16),
            ),
            picture,
        ),
        "where and maximum": (
            lambda: Net(
                _maximum, a=conv(3, 16), b=conv(3, 16), mix=conv(16, 16), head=head(16)
            ),
            picture,
        ),
        "squeeze and excitation": (
            lambda: Net(
                _squeeze, stem=conv(3, 16), down=nn.Conv2d(16, 4, 1), up=nn.Conv2d(4, 16, 1),
                mix=conv(16, 16), head=head(16),
            ),
            picture,
        ),
        "instance normalization": (
            lambda: nn.Sequential(
                nn.Conv2d(3, 16, 3, padding=1), nn.InstanceNorm2d(16, affine=True), nn.ReLU(),
                nn.Conv2d(16, 16, 3, padding=1), nn.InstanceNorm2d(16, affine=True), nn.ReLU(),
                nn.Conv2d(16, 8, 3, padding=1),
            ),
            picture,
        ),
        "group normalization": (
            lambda: nn.Sequential(
                nn.Conv2d(3, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.ReLU(),
                nn.Conv2d(16, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.ReLU(), head(16),
            ),
            picture,
        ),
        "3-D": (
            lambda: nn.Sequential(
                nn.Conv3d(1, 8, 3, padding=1), nn.BatchNorm3d(8), nn.ReLU(), nn.MaxPool3d(2),
                nn.Conv3d(8, 16, 3, padding=1), nn.BatchNorm3d(16), nn.ReLU(),
                nn.Conv3d(16, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(),
                nn.Linear(16, 10),
            ),
            (1, 16, 16, 16),
        ),
        "1-D": (
            lambda: nn.Sequential(
                nn.Conv1d(4, 16, 5, padding=2), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(2),
                nn.Conv1d(16, 32, 3, padding=1), nn.BatchNorm1d(32), nn.ReLU(),
                nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, 10),
            ),
            (4, 128),
        ),
        "linear layers": (
            lambda: nn.Sequential(
                nn.Flatten(), nn.Linear(192, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(),
                nn.Linear(64, 10),
            ),
            (3, 8, 8),
        ),
        "attention": (_Attention, picture),
        "ConvNeXt": (
            lambda: Net(
                _convnext, stem=nn.Conv2d(3, 16, 4, 4),
                depth=nn.Conv2d(16, 16, 7, padding=3, groups=16), norm=nn.LayerNorm(16),
                wide=nn.Linear(16, 64), narrow=nn.Linear(64, 16), head=head(16),
            ),
            picture,
        ),
        "GRU": (
            lambda: Net(
                _gru, stem=conv(3, 16), gru=nn.GRU(16, 24, batch_first=True), last=nn.Linear(24, 10)
            ),
            picture,
        ),
    }  # fmt: skip


KINDS = _kinds()


def samples(shape: Shape, count: int, seed: int, *, noise: bool = False) -> np.ndarray:
    """Return `count` smooth arrays, about as normalized pictures are, or `noise` alone.

    Pictures differ in contrast and brightness; all noise is alike.
    """
    rng = np.random.default_rng(seed)
    made = rng.normal(0, 1, (count, *shape))
    if noise:
        return made.astype(np.float32)
    for axis in range(2, made.ndim):
        for _ in range(4):
            made = (made + np.roll(made, 1, axis)) / 2
    contrast = rng.uniform(0.5, 1.5, (count, *[1] * len(shape)))
    brightness = rng.normal(0, 0.4, (count, shape[0], *[1] * (len(shape) - 1)))
    made = made / made.std() * contrast + brightness
    return (made + rng.normal(0, 0.1, made.shape)).astype(np.float32)


def module(kind: str, *, seed: int = 0, noise: bool = False) -> nn.Module:
    """Return the net of a kind in evaluation mode, its normalizations fitted to samples."""
    torch.manual_seed(seed)
    build, shape = KINDS[kind]
    net = build()
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.modules.batchnorm._NormBase):
                if layer.affine:
                    layer.weight.uniform_(0.5, 1.5)
                    layer.bias.normal_(0, 0.3)
                layer.momentum = None  # the statistics are the mean over all batches
            elif isinstance(layer, nn.LayerNorm | nn.GroupNorm):
                layer.weight.uniform_(0.5, 1.5)
                layer.bias.normal_(0, 0.3)
            elif isinstance(layer, nn.modules.conv._ConvNd | nn.Linear):
                _draw(layer)
        net.train()
        net(torch.from_numpy(samples(shape, 256, 1000 + seed, noise=noise)))
    for change in getattr(net, "changes", ()):
        change(net)
    return net.eval()


def _draw(layer: Any) -> None:
    """Draw weights with long tails, and channels of different sizes."""
    weight = layer.weight
    fan = weight[0].numel() if not getattr(layer, "transposed", False) else weight[:, 0].numel()
    tails = torch.distributions.StudentT(6.0).sample(weight.shape) / 1.22
    along = [1] * weight.ndim
    along[1 if getattr(layer, "transposed", False) else 0] = -1
    sizes = torch.empty(layer.weight.shape[1 if getattr(layer, "transposed", False) else 0])
    weight.copy_(tails * (2 / fan) ** 0.5 * sizes.uniform_(0.5, 1.5).reshape(along))
    if layer.bias is not None:
        layer.bias.normal_(0, 0.1)


def _scaled(net: nn.Module) -> nn.Module:
    """Return the net, one of whose branches will have values a hundred times as large."""

    def change(one: Any) -> None:
        with torch.no_grad():
            one.large[0].weight.mul_(100)

    net.changes = (change,)  # type: ignore[assignment]
    return net


def _tiny(net: nn.Module) -> nn.Module:
    """Return the net with channels that hardly vary: normalization makes their weights huge."""

    def change(one: nn.Module) -> None:
        for layer in one.modules():
            if isinstance(layer, nn.BatchNorm2d):
                assert layer.running_var is not None
                layer.running_var[:2] = 1e-7
                with torch.no_grad():
                    layer.weight[:2] *= 0.01

    net.changes = (change,)  # type: ignore[assignment]
    return net


def exported(kind: str, *, seed: int = 0, noise: bool = False) -> onnx.ModelProto:
    """Return the net of a kind as an ONNX graph, with an open batch and normalizations kept."""
    net, shape = module(kind, seed=seed, noise=noise), KINDS[kind][1]
    count = 2 if kind in ("concat, two ranges", "concat, hidden small map", "feature pyramid",
                          "output in the middle") else 1  # fmt: skip
    outputs = [f"y{i}" for i in range(count)]
    file = io.BytesIO()
    torch.onnx.export(
        net, (torch.zeros(2, *shape),), file, dynamo=False, opset_version=17,
        input_names=["x"], output_names=outputs,
        dynamic_axes={name: {0: "batch"} for name in ("x", *outputs)},
        training=torch.onnx.TrainingMode.EVAL, do_constant_folding=True,
    )  # fmt: skip
    return onnx.load_from_string(file.getvalue())
