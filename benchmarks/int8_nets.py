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
from int8_parts import (
    Attention,
    Net,
    broadcast,
    concat_map,
    concat_ranges,
    conv,
    convnext,
    dense,
    gru,
    head,
    largest,
    middle_out,
    plain,
    pyramid,
    residual,
    scalar_sums,
    shuffle,
    split_in_two,
    squeeze,
    unet,
    unet_transposed,
)
from torch import nn

Shape = tuple[int, ...]
Kind = tuple[Callable[[], nn.Module], Shape]


def _kinds() -> dict[str, Kind]:
    picture = (3, 32, 32)
    relu6 = nn.ReLU6
    return {
        "plain": (plain, picture),
        "no normalization": (
            lambda: nn.Sequential(
                *(conv(i, o, norm=False) for i, o in ((3, 16), (16, 16), (16, 32))), head(32)
            ),
            picture,
        ),
        "clipped (ReLU6)": (lambda: plain(relu6), picture),
        "hard swish": (lambda: plain(nn.Hardswish), picture),
        "SiLU": (lambda: plain(nn.SiLU), picture),
        "leaky ReLU": (lambda: plain(nn.LeakyReLU), picture),
        "PReLU": (lambda: plain(nn.PReLU), picture),
        "residual": (
            lambda: Net(
                residual, stem=conv(3, 16), a1=conv(16, 16), a2=conv(16, 16, act=None),
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
                shuffle, stem=conv(3, 16), one=conv(8, 8), two=conv(16, 16), head=head(16)
            ),
            picture,
        ),
        "split and concat": (
            lambda: Net(split_in_two, stem=conv(3, 16),
 one=conv(8, 8), two=conv(8, 8), head=head(24)),
            picture,
        ),
        "dense": (
            lambda: Net(
                dense, stem=conv(3, 8), a=conv(8, 8), b=conv(16, 8), c=conv(24, 8), head=head(32)
            ),
            picture,
        ),
        "concat, two ranges": (
            lambda: Net(
                concat_ranges, small=conv(3, 8), keep=conv(8, 8, norm=False),
                large=conv(3, 8, norm=False), joined=conv(16, 16), head=head(16),
                fine=conv(8, 8, norm=False),
            ),
            picture,
        ),
        "concat, hidden small map": (
            lambda: _scaled(
                Net(
                    concat_map, small=conv(3, 8, norm=False), large=conv(3, 8, norm=False),
                    joined=conv(16, 16), fine=conv(8, 8, norm=False),
                )
            ),
            picture,
        ),
        "U-Net": (
            lambda: Net(
                unet, one=conv(3, 8), two=conv(8, 16), three=conv(24, 8), last=nn.Conv2d(8, 2, 1)
            ),
            picture,
        ),
        "U-Net, transposed": (
            lambda: Net(
                unet_transposed, one=conv(3, 8), two=conv(8, 16),
                up=nn.ConvTranspose2d(16, 8, 2, 2), three=conv(16, 8), last=nn.Conv2d(8, 2, 1),
            ),
            picture,
        ),
        "feature pyramid": (
            lambda: Net(
                pyramid, one=conv(3, 16), two=conv(16, 32, stride=2),
                lateral1=nn.Conv2d(16, 16, 1), lateral2=nn.Conv2d(32, 16, 1),
                shared=conv(16, 8, norm=False, act=None),
            ),
            picture,
        ),
        "output in the middle": (
            lambda: Net(
                middle_out, one=conv(3, 16), two=conv(16, 16, act=None), three=conv(16, 32),
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
        "tiny variances": (lambda: _tiny(plain()), picture),
        "broadcast sum": (
            lambda: Net(
                broadcast, stem=conv(3, 16), rows=conv(16, 16, 1, act=None),
                columns=conv(16, 16, 1, act=None), mix=conv(16, 16), head=head(16),
            ),
            picture,
        ),
        "sum with a pooled map": (
            lambda: Net(
                scalar_sums, stem=conv(3, 16), gate=nn.Conv2d(16, 16, 1), mix=conv(16, 16),
                head=head(16),
            ),
            picture,
        ),
        "where and maximum": (
            lambda: Net(
                largest, a=conv(3, 16), b=conv(3, 16), mix=conv(16, 16), head=head(16)
            ),
            picture,
        ),
        "squeeze and excitation": (
            lambda: Net(
                squeeze, stem=conv(3, 16), down=nn.Conv2d(16, 4, 1), up=nn.Conv2d(4, 16, 1),
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
        "attention": (Attention, picture),
        "ConvNeXt": (
            lambda: Net(
                convnext, stem=nn.Conv2d(3, 16, 4, 4),
                depth=nn.Conv2d(16, 16, 7, padding=3, groups=16), norm=nn.LayerNorm(16),
                wide=nn.Linear(16, 64), narrow=nn.Linear(64, 16), head=head(16),
            ),
            picture,
        ),
        "GRU": (
            lambda: Net(
                gru, stem=conv(3, 16), gru=nn.GRU(16, 24, batch_first=True), last=nn.Linear(24, 10)
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
