"""Cutting channels gives what zeros in their place give; fresh modules take up stored tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import torch
from alike import assert_alike
from hypothesis import given, settings
from hypothesis import strategies as st
from prune_nets import CLASSES, Pyramid, answers, conv, pair, pictures, pooled, resnet, seeded, vgg
from torch import nn
from torchvision.models.shufflenetv2 import ShuffleNetV2

from perfsuite.errors import BuildError
from perfsuite.export.state import as_arrays
from perfsuite.passes.prune.channels import Group, channel_groups
from perfsuite.passes.prune.surgery import absent, channels_kept, cut, load, masked
from perfsuite.passes.prune.verification import cuttable_groups


def shuffled() -> nn.Module:
    return ShuffleNetV2([1, 2, 1], [8, 16, 16, 16, 24], CLASSES)


NETS: dict[str, Callable[[], nn.Module]] = {
    "vgg": vgg,
    "option A": partial(resnet, "A"),
    "option B": partial(resnet, "B"),
    "pyramid": Pyramid,
    "shuffle": shuffled,
}


@cache
def net_and_groups(name: str) -> tuple[nn.Module, list[Group]]:
    net = seeded(NETS[name])
    return net, channel_groups(net, pictures())[0]


def silenced(net: nn.Module, groups: list[Group], kept: dict[str, list[int]]) -> nn.Module:
    """Return a copy in which what reads channels that are not kept is given zeros for them."""
    net = copy.deepcopy(net)

    def silence(mask: torch.Tensor, _: nn.Module, given: tuple[torch.Tensor]) -> torch.Tensor:
        return given[0] * mask.view(-1, *[1] * (given[0].ndim - 2))

    for group in groups:
        for member in group.members:
            if member.side == "in":
                layer = net.get_submodule(member.path)
                mask = torch.ones(layer.weight.shape[1])
                for unit in set(range(group.width)) - set(kept[group.name]):
                    mask[list(member.places[unit])] = 0
                layer.register_forward_pre_hook(partial(silence, mask))
    return net


@pytest.mark.parametrize("name", NETS)
@given(data=st.data())
@settings(max_examples=6, deadline=None, derandomize=True)
def test_a_cut_net_answers_as_with_zeros_in_place_of_its_channels(name: str, data: Any) -> None:
    net, groups = net_and_groups(name)
    seed = data.draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    kept = {
        g.name: sorted(rng.permutation(g.width)[: rng.integers(1, g.width + 1)].tolist())
        for g in groups
    }
    smaller, hidden = copy.deepcopy(net), copy.deepcopy(net)
    assert cut(smaller, groups, kept) == ()
    masked(hidden, groups, kept)
    expected = answers(silenced(net, groups, kept), pictures(seed=seed))
    for other in (smaller, hidden):
        for one, two in zip(answers(other, pictures(seed=seed)), expected, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
    for path, channels in channels_kept(net, groups, kept).items():
        assert len(smaller.get_submodule(path).weight) == len(channels)


@pytest.mark.parametrize("name", NETS)
def test_a_fresh_net_takes_up_what_was_cut(name: str) -> None:
    net, groups = net_and_groups(name)
    smaller = copy.deepcopy(net)
    cut(smaller, groups, {g.name: list(range(1, g.width, 2)) for g in groups})
    fresh = NETS[name]().eval()
    load(fresh, as_arrays(smaller))
    for one, two in zip(answers(fresh, pictures()), answers(smaller, pictures()), strict=True):
        assert_alike(one, two)
    assert repr(fresh) == repr(smaller)  # with the sizes that modules say they have


def test_a_cut_depthwise_convolution_says_its_new_size() -> None:
    def make() -> nn.Module:
        return nn.Sequential(
            *(conv(3, 16, 1), conv(16, 16, groups=16), nn.ReLU(), conv(16, CLASSES, 1))
        )

    net = seeded(make)
    groups, _ = channel_groups(net, pictures())
    cut(net, groups, {"0": [2, 5, 11]})
    depthwise = net[1]  # type: ignore[index]
    assert depthwise.weight.shape == (3, 1, 3, 3)
    assert (depthwise.in_channels, depthwise.out_channels, depthwise.groups) == (3, 3, 3)
    assert net[3].in_channels == 3  # type: ignore[index]


def test_channels_are_taken_out_by_their_numbers() -> None:
    net, groups = net_and_groups("vgg")
    smaller = copy.deepcopy(net)
    cut(smaller, groups, {"0": [3, 5], "4": [1, 6, 7]})
    assert torch.equal(smaller[0].weight, net[0].weight[[3, 5]])
    assert torch.equal(smaller[1].running_var, net[1].running_var[[3, 5]])
    assert torch.equal(smaller[4].weight, net[4].weight[[1, 6, 7]][:, [3, 5]])
    assert torch.equal(smaller[4].bias, net[4].bias[[1, 6, 7]])
    inputs = [4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31]  # of channels 1, 6, 7
    assert torch.equal(smaller[9].weight, net[9].weight[:, inputs])
    assert torch.equal(smaller[11].weight, net[11].weight)
    assert (smaller[9].in_features, smaller[1].num_features) == (12, 2)
    assert int(smaller[1].num_batches_tracked) == 0


@pytest.mark.parametrize("option", ["A", "B"])
def test_a_branch_goes_with_all_its_norms(option: str) -> None:
    net, groups = net_and_groups(f"option {option}")
    smaller = copy.deepcopy(net)
    gone = cut(smaller, groups, {"3.conv1": []})
    assert set(gone) == {"3.conv1", "3.norm1", "3.conv2", "3.norm2"}
    bare = copy.deepcopy(net)
    bare[3] = nn.ReLU()  # the block without its branch: relu(x + 0)
    assert_alike(answers(smaller, pictures())[0], answers(bare, pictures())[0])
    assert not any(name.startswith("3.") for name in smaller.state_dict())
    fresh = NETS[f"option {option}"]().eval()
    absent(fresh, gone)
    load(fresh, as_arrays(smaller))
    assert_alike(answers(fresh, pictures())[0], answers(bare, pictures())[0])


def test_gradients_stay_switched_off_where_they_were() -> None:
    net = seeded(vgg)
    net[0].weight.requires_grad_(False)
    cut(net, channel_groups(net, pictures())[0], {"0": [0, 1], "4": [2]})
    assert not net[0].weight.requires_grad
    assert net[4].weight.requires_grad and net[4].weight.is_leaf


def test_norms_without_scales_or_statistics_are_cut() -> None:
    for settings_of in ({"affine": False}, {"track_running_stats": False}):
        net = pair(norm=nn.BatchNorm2d(16, **settings_of))  # type: ignore[arg-type]
        net.how = lambda n, x: n.head(pooled(n.b(n.norm(n.a(x)).relu())))
        groups = channel_groups(net, pictures())[0]
        kept = {"a": [0, 9, 15], "b": list(range(16))}
        expected = answers(silenced(net.eval(), groups, kept), pictures())[0]
        cut(net, groups, kept)
        torch.testing.assert_close(answers(net, pictures())[0], expected)
        assert net.norm.num_features == 3


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (lambda: pair(b=conv(16, 8), head=nn.Linear(8, CLASSES)), None),  # narrower: as if cut
        (lambda: pair(b=conv(16, 24), head=nn.Linear(24, CLASSES)), "b: stored edits give"),
        (lambda: pair(b=conv(16, 16, 5)), "b: stored edits give this Conv2d another shape"),
        (lambda: pair(b=nn.Conv1d(16, 16, 3)), "b: stored edits give"),
        (lambda: pair(b=conv(16, 8, bias=False), head=nn.Linear(8, CLASSES)), "Missing key"),
        (lambda: pair(more=nn.Linear(2, 2)), "Unexpected key"),
        (lambda: pair(a=nn.GroupNorm(1, 16)), "a: stored edits give this Conv2d another shape"),
    ],
)
def test_edits_of_another_model_are_refused(
    other: Callable[[], nn.Module], reason: str | None
) -> None:
    if reason is None:
        load(pair(), as_arrays(other()))
        return
    with pytest.raises(BuildError, match=reason) as caught:
        load(pair(), as_arrays(other()))
    assert "another model" in str(caught.value)


def test_a_bias_that_the_model_has_not_is_another_model() -> None:
    tensors = as_arrays(pair(b=conv(16, 8), head=nn.Linear(8, CLASSES)))
    with pytest.raises(BuildError, match="another model"):
        load(pair(b=conv(16, 16, bias=False)), tensors)


def test_a_norm_of_another_size_in_a_model_is_another_model() -> None:
    net = pair(norm=nn.LayerNorm([16, 8, 8]))
    tensors = {**as_arrays(net), "norm.weight": np.ones((16, 4, 4), np.float32)}
    with pytest.raises(BuildError, match="norm: stored edits give this LayerNorm another shape"):
        load(net, tensors)


def test_modules_that_are_not_there_cannot_be_absent() -> None:
    for path in ("c", "a.b", "head.0.conv"):
        with pytest.raises(BuildError, match="another model"):
            absent(pair(), [path])


# -- the proof ---------------------------------------------------------------------------------


def test_groups_of_these_nets_are_sound() -> None:
    for name in NETS:
        net, groups = net_and_groups(name)
        good, refused = cuttable_groups(net, groups, [pictures(), pictures(seed=3)])
        assert good == groups and refused == {}


def test_a_number_of_channels_in_the_arithmetic_is_found_out() -> None:
    net = seeded(lambda: pair(lambda x: x * x.shape[1]))
    good, refused = cuttable_groups(net, channel_groups(net, pictures())[0], [pictures()])
    assert [group.name for group in good] == ["b"]
    assert refused == {"a": "without some of its channels b answers otherwise"}


def test_a_layer_of_a_kind_of_its_own_is_told_with_it() -> None:
    class Scaled(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * x.shape[1]

    net = seeded(lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), Scaled(8, 4, 3)))
    good, refused = cuttable_groups(net, channel_groups(net, pictures())[0], [pictures()])
    assert not good
    assert refused == {"0": "without some of its channels 2 (a Scaled) answers otherwise"}


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        (lambda x: x * torch.arange(16.0).view(16, 1, 1), "RuntimeError: The size of tensor"),
        (lambda x: x if x.shape[1] == 16 else _raise(KeyError(16)), "KeyError: 16"),
        (lambda x: x if x.shape[1] == 16 else _raise(AssertionError()), "AssertionError"),
        (lambda x: x.detach() + x, None),
        (lambda x: x.view(len(x), 16, 64).view_as(x), "RuntimeError: shape '[2, 16, 64]'"),
    ],
)
def test_what_a_model_raises_without_channels_is_the_reason(
    between: Any, reason: str | None
) -> None:
    net = seeded(lambda: pair(between))
    good, refused = cuttable_groups(net, channel_groups(net, pictures())[0], [pictures()])
    if reason is None:
        assert refused == {}
        return
    assert [group.name for group in good] == ["b"]
    assert refused["a"].startswith("without some of its channels the model fails: " + reason)


def _raise(error: Exception) -> torch.Tensor:
    raise error


def test_features_that_are_outputs_as_well_stay() -> None:
    net = seeded(pair)
    net.how = lambda n, x: (n.head(pooled(n.b(y := n.a(x)))), {"features": y})
    groups, left = channel_groups(net, pictures())
    assert [group.name for group in groups] == ["b"]
    assert left["a"] == "its channels are an output of the model"


def test_a_path_that_only_some_inputs_take_is_found_out() -> None:
    net = seeded(lambda: pair(other=conv(16, 16)))
    net.how = lambda n, x: n.head(pooled((n.b if x.mean() > 0 else n.other)(n.a(x)).relu()))
    bright, dark = {"image": pictures()["image"] + 2}, {"image": pictures()["image"] - 2}
    groups, left = channel_groups(net, bright)
    assert left["other"].startswith("it was not called")
    assert [group.name for group in cuttable_groups(net, groups, [bright])[0]] == [
        "a",
        "b",
    ]  # unseen
    good, refused = cuttable_groups(net, groups, [bright, dark])
    assert [group.name for group in good] == [] and set(refused) == {"a", "b"}
    assert "not all inputs take the same path: b is called for some of them" in refused["a"]


def test_outputs_without_a_value_do_not_differ() -> None:
    net = seeded(pair)
    net.how = lambda n, x: (y := n.head(pooled(n.b(n.a(x).relu()))), y[y > 1e6])
    groups = channel_groups(net, pictures())[0]
    good, refused = cuttable_groups(net, groups, [pictures()])
    assert [group.name for group in good] == ["a", "b"] and refused == {}


def test_of_two_branches_of_a_sum_only_one_may_go() -> None:
    layers = {name: conv(16, 16) for name in ("a1", "a2", "b1", "b2", "last")}
    net = seeded(lambda: pair(**layers))
    net.how = lambda n, x: n.head(
        pooled(n.last(n.a2(n.a1(y := n.a(x)).relu()) + n.b2(n.b1(y).relu())).relu())
    )
    groups = channel_groups(net, pictures())[0]
    assert {group.name for group in groups if group.removable} == {"a1", "b1"}
    good, refused = cuttable_groups(net, groups, [pictures()])
    assert refused == {}
    assert {group.name for group in good if group.removable} == {"a1"}
    assert len(good) == len(groups)


def test_a_sum_in_place_keeps_its_branch() -> None:
    net = seeded(lambda: pair(inner=conv(16, 16), outer=conv(16, 16)))

    def forward(n: Any, x: torch.Tensor) -> torch.Tensor:
        x = n.a(x)
        y = n.outer(n.inner(x).relu())
        y += x
        return n.head(pooled(n.b(y).relu()))  # type: ignore[no-any-return]

    net.how = forward
    groups = channel_groups(net, pictures())[0]
    assert any(group.removable for group in groups)
    good, refused = cuttable_groups(net, groups, [pictures()])
    assert refused == {} and len(good) == len(groups)
    assert not any(group.removable for group in good)  # nothing cannot be added to in place


def test_a_picture_without_a_detection_refuses_nothing() -> None:
    net = seeded(pair)

    def detecting(n: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores = n.head(pooled(n.b(n.a(x).relu()).relu()))
        return scores, scores[scores > 1e9]

    net.how = detecting
    groups = channel_groups(net, pictures())[0]
    good, refused = cuttable_groups(net, groups, [pictures()])
    assert refused == {}
    assert {group.name for group in good} == {"a", "b"}


def test_a_model_that_fails_on_its_samples_is_told_from_a_cut_one() -> None:
    net = seeded(pair)
    groups = channel_groups(net, pictures())[0]
    with pytest.raises(BuildError, match="Toy fails on the task's samples, as it is: RuntimeError"):
        cuttable_groups(net, groups, [pictures(), pictures(channels=5)])


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("padded", [False, True])
def test_an_encoder_of_torch_runs_without_its_perceptron(*, padded: bool) -> None:
    """In evaluation it has one kernel for all parts, which reads the weights of each."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    net = nn.TransformerEncoder(layer, 2).eval()
    tokens = torch.randn(2, 5, 8)
    mask = torch.zeros(2, 5, dtype=torch.bool) if padded else None
    with torch.no_grad():
        for one in net.layers:
            one.linear2.weight.zero_()
            one.linear2.bias.zero_()
        expected = net(tokens, src_key_padding_mask=mask)
        absent(net, [f"layers.{place}.linear{part}" for place in (0, 1) for part in (1, 2)])
        torch.testing.assert_close(net(tokens, src_key_padding_mask=mask), expected)
