"""What a channel matters, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from prune_nets import CLASSES, conv, member, pair, pictures, pooled, seeded
from torch import nn

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import BuildError, Unsupported
from perfsuite.passes.prune import importance
from perfsuite.passes.prune.channels import Group, channel_groups

LAYER = (member("a.weight", "out", 2), member("a.bias", "out", 2))
NORM = (member("norm.weight", "out", 2), member("norm.bias", "out", 2))
READER = member("b.weight", "in", 2, axis=1)
PAIR = Group("a", 2, (*LAYER, *NORM, READER))


def tiny() -> nn.Module:
    """Return a: 1 to 2 channels, norm, b: 2 to 2 scores, on pictures of one pixel."""
    net = pair(a=conv(1, 2, 1), norm=nn.BatchNorm2d(2), b=conv(2, 2, 1))
    net.how = lambda n, x: pooled(n.b(n.norm(n.a(x))))
    with torch.no_grad():
        net.a.weight.copy_(torch.tensor([3.0, 4.0]).view(2, 1, 1, 1))
        net.a.bias.zero_()
        net.b.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0]]).view(2, 2, 1, 1))
        net.b.bias.zero_()
        net.norm.weight.copy_(torch.tensor([-0.5, 2.0]))
        net.norm.running_var.fill_(1 - net.norm.eps)
    return net.eval()


def samples(count: int = 1, labels: int = 0) -> TrainingSet:
    images = np.ones((count, 1, 1, 1), np.float32)
    return TrainingSet(images, np.full(count, labels), lambda batch, _: batch)


def test_l2_is_the_norm_of_all_weights_of_a_channel_over_the_groups_mean() -> None:
    net = pair(a=conv(1, 2, 1), b=conv(1, 2, 1))
    with torch.no_grad():
        net.a.weight.copy_(torch.tensor([3.0, 6.0]).view(2, 1, 1, 1))
        net.b.weight.copy_(torch.tensor([4.0, -8.0]).view(2, 1, 1, 1))
    group = Group("a", 2, (*LAYER, member("b.weight", "out", 2), member("head.weight", "in", 2, 1)))
    # sqrt(9 + 16) = 5 and sqrt(36 + 64) = 10, with a mean of 7.5
    np.testing.assert_allclose(importance.l2(net, [group])["a"], [5 / 7.5, 10 / 7.5])


def test_l2_leaves_norms_out_and_stands_zeros() -> None:
    net = tiny()
    np.testing.assert_allclose(importance.l2(net, [PAIR])["a"], [3 / 3.5, 4 / 3.5])
    nn.init.zeros_(net.a.weight)
    np.testing.assert_array_equal(importance.l2(net, [PAIR])["a"], [0, 0])


def test_bn_is_the_size_of_the_scales() -> None:
    np.testing.assert_allclose(importance.bn(tiny(), [PAIR])["a"], [0.5, 2.0])
    two = pair(n1=nn.BatchNorm2d(16), n2=nn.BatchNorm2d(16))
    nn.init.constant_(two.n1.weight, -0.25)
    norms = [member(f"{path}.weight", "out", 16) for path in ("n1", "n2")]
    group = Group("a", 16, (member("a.weight", "out", 16), *norms))
    np.testing.assert_allclose(importance.bn(two, [group])["a"], np.full(16, 1.25))


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(2, affine=False), None])
def test_bn_needs_scales(norm: nn.Module | None) -> None:
    members = PAIR.members if norm and norm.affine else (*LAYER, READER)
    net = tiny()
    net.norm = norm
    with pytest.raises(Unsupported, match="needs a batch normalization behind a, and there is no"):
        importance.bn(net, [Group("a", 2, members)])
    assert importance.l2(net, [Group("a", 2, members)])["a"].shape == (2,)


def test_taylor_is_weight_times_gradient_of_the_norm() -> None:
    # scores = (y0, 0) with y0 = -0.5 * 3 + 0; the label is 0, so dL/dy0 = softmax(y0) - 1.
    slope = 1 / (1 + np.exp(1.5)) - 1
    # dL/dscale0 = slope * 3, so scale0 * dL/dscale0 = -1.5 slope; the shift is 0; y1 counts not.
    found = importance.taylor(tiny(), [PAIR], samples())["a"]
    np.testing.assert_allclose(found, [-1.5 * slope, 0.0], rtol=1e-5)


def test_taylor_takes_the_layers_weights_where_there_is_no_scale() -> None:
    net = tiny()
    net.norm = nn.Identity()
    group = Group("a", 2, (*LAYER, READER))
    slope = 1 / (1 + np.exp(-3)) - 1  # y0 = 3
    found = importance.taylor(net, [group], samples())["a"]
    np.testing.assert_allclose(found, [-3 * slope, 0.0], rtol=1e-5)


def test_taylor_is_a_root_mean_square_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importance, "BATCH", 1)
    data = samples(2)._replace(targets=np.array([0, 1]))
    slopes = np.array([1 / (1 + np.exp(1.5)) - 1, 1 / (1 + np.exp(1.5))])
    found = importance.taylor(tiny(), [PAIR], data)["a"]
    expected = np.sqrt(((1.5 * slopes) ** 2).mean())
    np.testing.assert_allclose(found, [expected, 0.0], rtol=1e-5)


def test_taylor_leaves_the_net_as_it_was() -> None:
    net = tiny()
    net.a.requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    importance.taylor(net, [PAIR], samples(3))
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not net.a.weight.requires_grad and not net.training


def test_a_loss_of_the_tasks_own_is_taken_in_training_mode() -> None:
    seen = []

    def loss(
        module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:  # d/dy0 = 1
        seen.append((module.training, targets.tolist()))
        module.eval()
        return module(inputs)[:, 0].sum()

    data = samples(2, labels=7)._replace(loss=loss)
    found = importance.taylor(tiny(), [PAIR], data)["a"]
    assert seen == [(True, [7, 7])]
    np.testing.assert_allclose(found, [2 * 0.5 * 3, 0.0], rtol=1e-5)


def test_weights_that_are_not_finite_are_refused_by_every_criterion() -> None:
    net = tiny()
    with torch.no_grad():
        net.a.weight[1] = float("nan")
    with pytest.raises(BuildError, match="weights of a have NaN"):
        importance.l2(net, [PAIR])
    with pytest.raises(BuildError, match="gradients of a are not finite"):
        importance.taylor(net, [PAIR], samples())
    with torch.no_grad():
        net.norm.weight[0] = float("inf")
    with pytest.raises(BuildError, match="weights of a have NaN or infinite values"):
        importance.bn(net, [PAIR])


def test_taylor_says_that_it_needs_scores() -> None:
    net = seeded(pair)
    forward = net.how
    net.how = lambda n, x: {"scores": forward(n, x)}
    groups = channel_groups(net, pictures())[0]
    data = TrainingSet(pictures(4)["image"], np.arange(4) % CLASSES, lambda batch, _: batch)
    with pytest.raises(Unsupported, match=r"that of a dict is not known; .* importance = 'l2'"):
        importance.taylor(net, groups, data)


# -- what is lost at a width -------------------------------------------------------------------


def test_sums_are_of_the_least_channels() -> None:
    group = Group("a", 4, (member("a.weight", "out", 4),))
    found = importance.sums([group], {"a": np.array([3.0, 0.5, 2.0, 1.0])}, {"a": [0, 1, 3, 4]})
    assert found == {("a", 0): 6.5, ("a", 1): 3.5, ("a", 3): 0.5, ("a", 4): 0.0}


def test_the_best_channels_come_in_their_own_order() -> None:
    assert importance.best(np.array([3.0, 0.5, 2.0, 1.0]), 3) == [0, 2, 3]
    assert importance.best(np.array([1.0, 1.0, 1.0]), 2) == [0, 1]  # the first of equals


def ignore(done: int, total: int) -> None:
    assert 0 <= done < total


def test_losses_are_measured_with_zeros_in_place_of_channels() -> None:
    # The scores are (-1.5, 0), and (0, 0) without channel 0; channel 1 changes nothing.
    whole, without = np.log(1 + np.exp(-1.5)), np.log(2)  # -log softmax of the second
    net, widths, data = tiny(), {"a": [1, 2]}, samples(labels=1)
    found = importance.losses(net, [PAIR], {"a": np.array([1.0, 2.0])}, widths, data, ignore)
    assert found["a", 2] == 0.0
    np.testing.assert_allclose(found["a", 1], without - whole, rtol=1e-5)
    found = importance.losses(net, [PAIR], {"a": np.array([2.0, 1.0])}, widths, data, ignore)
    assert found == {("a", 1): 0.0, ("a", 2): 0.0}
    better = importance.losses(net, [PAIR], {"a": np.array([1.0, 2.0])}, widths, samples(), ignore)
    assert better["a", 1] == 0.0  # a loss that falls is none
    assert torch.equal(net.b.weight, tiny().b.weight)


def test_a_loss_that_is_no_number_is_the_worst() -> None:
    net = tiny()
    net.how = lambda n, x: pooled((y := n.b(n.norm(n.a(x)))) / y.norm() * y.norm().detach())
    data = samples(labels=1)
    found = importance.losses(net, [PAIR], {"a": np.array([1.0, 2.0])}, {"a": [1, 2]}, data, ignore)
    assert found["a", 2] == 0.0
    assert found["a", 1] == float("inf")  # 0 / 0
