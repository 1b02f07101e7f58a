"""Which channels go together, and why others stay: on toy nets whose groups one can count."""

from __future__ import annotations

import pytest
import torch
from prune_nets import CLASSES, Pyramid, Toy, conv, pair, pictures, pooled, resnet, seeded, vgg
from torch import nn
from torch.nn import functional
from torchvision.models import resnet18
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.shufflenetv2 import ShuffleNetV2

from perfsuite.errors import Unsupported
from perfsuite.passes.prune.channels import Group, channel_groups

OUTPUT = "its channels are an output of the model"


def groups_of(net: nn.Module, inputs: object = None) -> tuple[dict[str, Group], dict[str, str]]:
    found, left = channel_groups(net.eval(), inputs or pictures())  # type: ignore[arg-type]
    assert len({group.name for group in found}) == len(found)
    return {group.name: group for group in found}, left


def members(group: Group) -> set[tuple[str, str, int]]:
    """Return the layers and norms of a group, and how many places each unit has in them."""
    return {(m.path, m.side, m.repeat) for m in group.members if m.side != "size"}


def test_a_chain_has_a_group_for_each_layer_but_the_last() -> None:
    found, left = groups_of(vgg())
    assert {name: group.width for name, group in found.items()} == {"0": 16, "4": 8, "9": 24}
    assert members(found["0"]) == {("0", "out", 1), ("1", "out", 1), ("4", "in", 1)}
    # 8 channels of 2 x 2 places are flattened: each is four inputs of the linear layer.
    assert members(found["4"]) == {("4", "out", 1), ("9", "in", 4)}
    assert members(found["9"]) == {("9", "out", 1), ("11", "in", 1)}
    assert left == {"11": OUTPUT}
    assert not any(group.removable for group in found.values())


def test_a_shortcut_with_a_convolution_ties_its_block_to_it() -> None:
    found, left = groups_of(resnet("B"))
    assert {name: group.width for name, group in found.items()} == {
        **{"0": 8, "3.conv1": 8},  # the first stage, and the inside of its block
        **{"4.conv1": 16, "4.conv2": 16, "5.conv1": 16},
    }
    assert members(found["0"]) == {
        *(("0", "out", 1), ("1", "out", 1), ("3.conv2", "out", 1), ("3.norm2", "out", 1)),
        *(("3.conv1", "in", 1), ("4.conv1", "in", 1), ("4.shortcut", "in", 1)),
    }
    assert set(found["4.conv2"].paths("out")) == {
        *("4.conv2", "4.norm2", "4.shortcut", "5.conv2", "5.norm2")
    }
    assert left == {"8": OUTPUT}
    inside = [found[name] for name in ("3.conv1", "4.conv1", "5.conv1")]
    assert all(group.removable for group in inside)
    assert [group.after for group in inside] == [("3.norm2",), ("4.norm2",), ("5.norm2",)]
    assert not found["0"].removable


def test_a_shortcut_padded_with_zeros_keeps_what_is_added_to_it() -> None:
    found, left = groups_of(resnet("A"))
    assert set(found) == {"3.conv1", "4.conv1", "5.conv1"}
    assert all(group.removable for group in found.values())
    assert left["0"].startswith("its channels get others of zeros beside them (pad) (prune_nets.py")
    assert {"0", "3.conv2", "4.conv2", "5.conv2", "8"} == set(left)


def test_shufflenet_gives_the_insides_of_its_branches() -> None:
    net = ShuffleNetV2([2, 2, 2], [8, 16, 16, 16, 24], CLASSES)
    found, left = groups_of(net, {"image": torch.zeros(1, 3, 32, 32).numpy()})
    # conv, norm, ReLU, depthwise convolution, norm, conv: the first and the fourth go together.
    inside = found["stage3.1.branch2.0"]
    assert inside.width == 8
    assert members(inside) == {
        *((f"stage3.1.branch2.{place}", "out", 1) for place in (0, 1, 3, 4)),
        ("stage3.1.branch2.5", "in", 1),
    }
    assert set(found) >= {f"stage{s}.{b}.branch2.0" for s in (2, 3, 4) for b in (0, 1)}
    assert "conv5.0" in found and found["conv5.0"].paths("in") == ["fc"]
    # The trunk: what is concatenated, shuffled and split in halves; both halves lose as many.
    trunk = found["stage3.0.branch1.2"]
    assert trunk.width == 4  # of 16, in two halves that were shuffled together
    assert {"stage3.0.branch2.5", "stage3.1.branch2.5"} <= set(trunk.paths("out"))
    assert left == {"fc": OUTPUT}


def test_a_pyramid_ties_its_laterals_and_all_that_one_head_reads() -> None:
    found, left = groups_of(Pyramid())
    assert {name: group.width for name, group in found.items()} == {
        **{"low": 8, "high": 16, "lateral_low": 12, "smooth_low": 10, "head": 6}
    }
    assert set(found["lateral_low"].paths("out")) == {"lateral_low", "lateral_high"}
    assert set(found["lateral_low"].paths("in")) == {"smooth_low", "smooth_high"}
    # The head is called on both levels: it has one set of weights for the channels of both.
    assert set(found["smooth_low"].paths("out")) == {"smooth_low", "smooth_high"}
    assert found["smooth_low"].paths("in") == ["head"]
    assert left == {"scores": OUTPUT}


def test_torchvisions_pyramid_gives_the_laterals_together() -> None:
    layers = {"layer1": "0", "layer2": "1"}
    trunk = resnet18(weights=None)
    net = BackboneWithFPN(trunk, layers, [64, 128], 16)
    found, left = groups_of(net, {"image": torch.zeros(1, 3, 32, 32).numpy()})
    laterals = found["fpn.inner_blocks.0.0"]
    assert set(laterals.paths("out")) == {"fpn.inner_blocks.0.0", "fpn.inner_blocks.1.0"}
    assert set(laterals.paths("in")) == {"fpn.layer_blocks.0.0", "fpn.layer_blocks.1.0"}
    assert left["fpn.layer_blocks.0.0"] == OUTPUT
    assert set(found["body.conv1"].paths("in")) >= {"fpn.inner_blocks.0.0", "body.layer1.0.conv1"}


def test_a_gate_ties_its_last_layer_to_what_it_gates() -> None:
    def forward(net: Toy, x: torch.Tensor) -> torch.Tensor:
        y = net.a(x).relu()
        gate = net.rise(net.fall(y.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return net.head(pooled(net.b(y * gate)))

    layers = {"a": conv(3, 16), "fall": conv(16, 4, 1), "rise": conv(4, 16, 1), "b": conv(16, 8)}
    found, _ = groups_of(Toy(forward, **layers, head=nn.Linear(8, CLASSES)))
    assert members(found["a"]) == {
        *(("a", "out", 1), ("rise", "out", 1), ("fall", "in", 1), ("b", "in", 1))
    }
    assert members(found["fall"]) == {("fall", "out", 1), ("rise", "in", 1)}
    assert not found["fall"].removable  # without it the gate is a half, not nothing


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        (lambda x: x[:, [1, 0, *range(2, 16)]], "are picked by numbers (index)"),
        (lambda x: x[:, 3:6].sum(1, keepdim=True) * x, "are picked by numbers"),
        (lambda x: torch.cat(x.split([4, 12], 1)[::-1], 1), "split into unequal parts of 4, 12"),
        (lambda x: x.softmax(1), "go through softmax, which makes one value of several"),
        (lambda x: x - x.mean(1, keepdim=True), "go through mean, which makes one value"),
        (lambda x: functional.normalize(x), "go through linalg_vector_norm, which makes one"),
        (lambda x: functional.conv2d(x, torch.ones(16, 16, 1, 1)), "go through convolution"),
        (lambda x: functional.pad(x, (0, 0, 0, 0, 2, 2))[:, 2:18], "get others of zeros beside"),
        (lambda x: x.cumsum(1), "go through cumsum"),
        (lambda x: torch.linalg.qr(x)[0], "go through linalg_qr"),
    ],
)
def test_operations_that_mix_channels_are_named(between: object, reason: str) -> None:
    found, left = groups_of(pair(between))  # type: ignore[arg-type]
    assert set(found) == {"b"}
    assert reason in left["a"]
    assert "(test_channels.py:" in left["a"]


@pytest.mark.parametrize(
    "between",
    [
        *(functional.leaky_relu, functional.gelu, functional.silu, functional.mish),
        *(functional.hardswish, functional.relu6, functional.elu, torch.tanh, torch.sigmoid),
        *(lambda x: functional.max_pool2d(x, 2), lambda x: functional.avg_pool2d(x, 2)),
        lambda x: functional.adaptive_avg_pool2d(x, (3, 3)),
        lambda x: functional.interpolate(x, scale_factor=2.0),
        lambda x: functional.dropout(x.contiguous(), 0.5, False) * 2 + 1,
    ],
)
def test_operations_that_leave_channels_in_place_are_followed(between: object) -> None:
    found, left = groups_of(pair(between))  # type: ignore[arg-type]
    assert set(found) == {"a", "b"}
    assert set(left) == {"head"}


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.GroupNorm(1, 16), "go through between, a GroupNorm, which makes one value of several"),
        (nn.LayerNorm([16, 8, 8]), "go through between, a LayerNorm, which makes one value"),
        (nn.Softmax2d(), "go through between, a Softmax2d, which makes one value of several"),
    ],
)
def test_layers_that_are_not_known_are_named(layer: nn.Module, reason: str) -> None:
    def forward(net: Toy, x: torch.Tensor) -> torch.Tensor:
        return net.head(pooled(net.b(net.between(net.a(x)))))

    net = Toy(forward, a=conv(3, 16), between=layer, b=conv(16, 8), head=nn.Linear(8, CLASSES))
    found, left = groups_of(net)
    assert "a" not in found and "b" in found
    assert reason in left["a"]


def test_norms_and_depthwise_convolutions_belong_to_what_gives_their_channels() -> None:
    def forward(net: Toy, x: torch.Tensor) -> torch.Tensor:
        y = net.norm(net.deep(net.before(net.a(x)).relu()))
        return net.head(pooled(net.b(y)))

    layers = {"before": nn.BatchNorm2d(16), "deep": conv(16, 16, groups=16)}
    more = {"norm": nn.BatchNorm2d(16), "b": conv(16, 8), "head": nn.Linear(8, CLASSES)}
    found, _ = groups_of(Toy(forward, a=conv(3, 16), **layers, **more))
    assert found["a"].paths("out") == ["a", "before", "deep", "norm"]
    assert found["a"].paths("in") == ["b"]


def test_shared_weights_are_left_alone_and_named() -> None:
    net = pair(b=conv(16, 16), c=conv(16, 16))
    net.how = lambda n, x: n.head(pooled(n.c(n.b(n.a(x).relu()).relu()).relu()))
    net.c.weight = net.b.weight
    found, left = groups_of(net)
    assert set(found) == set()
    assert left["b"] == "its weights are also those of c"
    assert left["c"] == "its weights are also those of b"
    assert left["a"] == "b has its channels, and its weights are also those of c"


@pytest.mark.parametrize(
    "wrap",
    [
        torch.nn.utils.parametrizations.weight_norm,
        torch.nn.utils.parametrizations.spectral_norm,
        torch.nn.utils.spectral_norm,
    ],
)
def test_weights_that_are_computed_are_left_alone(wrap: object) -> None:
    net = pair(b=wrap(conv(16, 16)))  # type: ignore[operator]
    found, left = groups_of(net)
    assert set(found) == set()
    assert left["b"] == "its weights are computed of others: remove the parametrization in build()"
    assert "multiplied by weights" in left["a"] or "go through" in left["a"]


def test_a_layer_that_is_not_called_is_named() -> None:
    _, left = groups_of(pair(spare=conv(16, 16)))
    assert left["spare"] == "it was not called, or no layer reads its channels"


def test_weights_used_by_a_function_are_followed() -> None:
    net = pair()
    net.how = lambda n, x: n.head(
        pooled(functional.conv2d(n.a(x).relu(), n.b.weight, n.b.bias, padding=1))
    )
    found, left = groups_of(net)
    assert set(found) == {"a", "b"} and set(left) == {"head"}


def test_one_channel_that_gates_all_stays_alone() -> None:
    net = pair(one=conv(3, 1))
    net.how = lambda n, x: n.head(pooled(n.b(n.a(x) * n.one(x).sigmoid())))
    found, left = groups_of(net)
    assert set(found) == {"a", "b"}
    assert left["one"] == "it has one channel"


def test_tracing_leaves_no_trace() -> None:
    net = pair()
    net.a.requires_grad_(False)
    net.b.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    channel_groups(net, pictures())
    assert [name for name, p in net.named_parameters() if not p.requires_grad] == [
        *("a.weight", "a.bias", "b.weight")
    ]
    assert not any(module._forward_hooks for module in net.modules())
    assert all(p.grad is None for p in net.parameters())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_a_frozen_trunk_has_groups_too() -> None:
    net = pair()
    net.requires_grad_(False)
    assert set(groups_of(net)[0]) == {"a", "b"}


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (lambda n, x: n.gone(x), r"cannot be traced \(AttributeError: .*'gone'"),
        (lambda n, x: n.b(x), r"cannot be traced \(RuntimeError: Given groups=1"),
        (lambda n, x: 3, "no layer of Toy leads to an output: it must give tensors"),
    ],
)
def test_a_model_that_cannot_be_followed_is_unsupported(how: object, reason: str) -> None:
    net = pair()
    net.how = how  # type: ignore[assignment]
    with pytest.raises(Unsupported, match=f"prune: .*{reason}"):
        channel_groups(net, pictures())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_part_that_is_torchscript_is_named() -> None:
    net = pair()
    net.b = torch.jit.script(net.b)
    with pytest.raises(Unsupported, match="prune: 'b' is TorchScript, whose calls cannot be"):
        channel_groups(net, pictures())


def test_answers_without_gradients_are_followed() -> None:
    net = pair()
    net.how = torch.no_grad()(net.how)
    assert set(groups_of(net)[0]) == {"a", "b"}


def test_a_model_that_cannot_be_copied_is_unsupported() -> None:
    net = pair()
    net.held = (one for one in ())  # type: ignore[assignment]
    with pytest.raises(Unsupported, match=r"Toy cannot be copied \(TypeError: .*generator"):
        channel_groups(seeded(lambda: net), pictures())
