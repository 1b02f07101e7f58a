"""The profile of a live module: rows that add up, and a module that stays as it was."""

from __future__ import annotations

import numpy as np
import pytest

import perfsuite
from perfsuite import BuildError, ConfigError, Stage, module_profile
from perfsuite.domain.suite import Measure

torch = pytest.importorskip("torch")
nn = torch.nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)

    def forward(self, pictures, *, scale=1.0):
        pictures -= 0.5  # what it is given is its own
        return self.head(self.norm(self.stem(pictures)).mean((2, 3))) * scale


@pytest.fixture(autouse=True)
def _short(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(module_profile, "SECONDS", 0.01)
    quick = Measure(calls=2, seconds=0.0, warmup_seconds=0.01)
    monkeypatch.setattr(module_profile, "_MEASURE", quick)
    monkeypatch.setattr(module_profile, "roofline", lambda threads, precision, seen: None)


def test_the_rows_add_up_and_the_module_is_left_as_it_was() -> None:
    net = Net().train()
    net.norm.eval()
    pictures = torch.ones(2, 3, 8, 8)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = perfsuite.profile(net, (pictures,))
    assert found.breakdown.total_s == pytest.approx(sum(row.time_s for row in found.breakdown.rows))
    assert {"stem", "norm", "head"} <= {row.name for row in found.breakdown.rows}
    assert found.latency_s > 0
    assert net.training and net.stem.training and not net.norm.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert torch.equal(pictures, torch.ones(2, 3, 8, 8))


def test_it_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    perfsuite.profile(Net(), (np.ones((1, 3, 8, 8), np.float32),))
    assert capfd.readouterr() == ("", "")


def test_each_call_has_the_same_inputs_and_buffers_are_as_before() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))
            self.register_buffer("last", torch.zeros(1))

        def forward(self, pictures):
            self.calls += 1
            self.last = pictures[:1] + self.calls
            pictures *= 2
            seen.add(float(pictures[0]))
            return pictures

    seen: set[float] = set()
    net = Counting()
    given = torch.ones(2)
    perfsuite.profile(net, (given,))
    assert seen == {2.0}, "a call had what the call before had made of its inputs"
    assert net.calls.item() == 0 and net.last.item() == 0
    assert not net.last.is_inference(), "it could not be trained with any more"


def test_attributes_are_as_before() -> None:
    class Remembering(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Identity()
            self.count, self.cached, self.scale = 0, None, torch.ones(2)
            self.kept = {"first": [1.0], "names": {"a"}}
            self.weight = nn.Parameter(torch.ones(2))

        def forward(self, pictures):
            self.count += 1
            self.cached = self.fresh = pictures * self.count
            self.inner.seen = self.count
            self.scale += 1
            self.kept["first"].append(self.count)
            self.kept["names"].add("b")
            self.kept["second"] = pictures
            self.weight = nn.Parameter(pictures[:2].clone())
            if self.count == 1:
                self.late = nn.Linear(2, 2)
            return self.inner(pictures * self.scale)

    net = Remembering()
    weight, first, held = net.weight, net.kept["first"], net.kept
    perfsuite.profile(net, (torch.ones(2),))
    assert (net.count, net.cached, net.scale.tolist()) == (0, None, [1.0, 1.0])
    assert not hasattr(net, "fresh") and not hasattr(net.inner, "seen")
    assert net.kept is held and net.kept == {"first": [1.0], "names": {"a"}}
    assert net.kept["first"] is first and net.weight is weight
    assert [name for name, _ in net.named_children()] == ["inner"]


def test_weights_that_a_forward_writes_to_are_as_before() -> None:
    class Clamping(nn.Linear):
        def forward(self, pictures):
            with torch.no_grad():
                self.weight.mul_(2.0)
            return super().forward(pictures)

    net = Clamping(2, 2)
    before = net.weight.detach().clone()
    perfsuite.profile(net, (torch.ones(1, 2),))
    assert torch.equal(net.weight, before)


def test_a_compiled_part_runs_eagerly_and_one_without_weights_counts_nothing() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    net[0].compile(backend="aot_eager")
    net.unused = nn.LazyLinear(3)
    net.forward = lambda pictures: net[1](net[0](pictures))
    found = perfsuite.profile(net, (torch.ones(1, 2),))
    assert any("addmm" in row.name or "0" in row.name for row in found.breakdown.rows)


def test_a_lazy_module_is_the_one_that_its_first_call_made_of_it() -> None:
    net = nn.Sequential(nn.LazyLinear(3), nn.ReLU())
    perfsuite.profile(net, (torch.ones(2, 4),))
    assert net[0].in_features == 4 and net[0].weight.shape == (3, 4)
    assert net(torch.ones(1, 4)).shape == (1, 3)


def test_it_prints_as_the_breakdown() -> None:
    found = perfsuite.profile(Net(), (np.ones((1, 3, 8, 8), np.float32),))
    text = str(found)
    assert text.startswith("Net, eager PyTorch on cpu") and "stem" in text and "total" in text
    assert found.bottleneck[0] in " ".join(text.split()) or len(found.bottleneck[0]) > 110
    assert "| stem |" in found._repr_markdown_()
    shallow = perfsuite.profile(Net(), (np.ones((1, 3, 8, 8), np.float32),), depth=1)
    assert "conv2d" in text and "└" in text and "└" not in str(shallow)


def test_inputs_may_be_named_and_stages_declared() -> None:
    named = {"pictures": torch.ones(1, 3, 8, 8), "scale": 2.0}
    stages = (Stage("features", ("stem", "norm")), Stage("readout", ("head",)))
    found = perfsuite.profile(Net(), named, stages=stages)
    assert {"features", "readout"} <= {row.name for row in found.breakdown.rows}
    with pytest.raises(ConfigError, match="no module or method 'steam'"):
        perfsuite.profile(Net(), named, stages=(Stage("one", ("steam",)),))


def test_a_module_without_inputs_is_told_and_a_compiled_one_taken_eagerly() -> None:
    with pytest.raises(ConfigError, match=r"give its inputs: perfsuite.profile\(net, "):
        perfsuite.profile(Net(), None)
    compiled = perfsuite.profile(torch.compile(Net()), (torch.ones(1, 3, 8, 8),))
    assert "stem" in str(compiled), "eager, by its modules"
    with pytest.raises(perfsuite.BuildError, match="its forward on the given inputs"):
        perfsuite.profile(Net(), (torch.ones(1, 4, 8, 8),))


def test_a_list_that_is_one_input_is_told_how_it_is_given() -> None:
    class Many(nn.Module):
        def forward(self, pictures):
            return [one.mean() for one in pictures]

    pictures = [torch.ones(3, 4, 4), torch.ones(3, 4, 5)]
    assert perfsuite.profile(Many(), (pictures,)).latency_s > 0
    with pytest.raises(BuildError, match=r"on 2 inputs \(a list that is one input is given as"):
        perfsuite.profile(Many(), pictures)


def test_inputs_may_be_dicts_in_what_a_module_takes_and_arrays_that_torch_does_not_take() -> None:
    class Many(nn.Module):
        def forward(self, batch):
            batch["pictures"] -= 0.5
            seen.add((float(batch["pictures"][0, 0]), float(batch["more"]["sizes"][0, 0])))
            return batch["pictures"] * batch["more"]["sizes"]

    seen: set[tuple[float, float]] = set()
    pictures = np.ones((2, 2), np.float32)
    given = {"pictures": torch.ones(2, 2), "more": {"sizes": pictures[:, ::-1] * 2}}
    perfsuite.profile(Many(), (given,))
    assert seen == {(0.5, 2.0)}, "a call had what the call before had made of its inputs"
    assert given["pictures"].tolist() == [[1.0, 1.0]] * 2
    assert perfsuite.profile(nn.Linear(2, 2), (pictures[:, ::-1],)).latency_s > 0


def test_a_module_without_values_is_told() -> None:
    with pytest.raises(perfsuite.PerfsuiteError, match="meta device, which hold no values"):
        perfsuite.profile(nn.Linear(2, 2, device="meta"), (torch.ones(1, 2),))


def test_an_exported_program_is_profiled_as_the_module_that_it_holds() -> None:
    program = torch.export.export(nn.Linear(2, 2), (torch.ones(1, 2),))
    assert perfsuite.profile(program, (torch.ones(1, 2),)).latency_s > 0


def test_inputs_of_what_is_no_module_are_told() -> None:
    for given, kind in (("vgg-digits", "'vgg-digits'"), (nn.ReLU, "class ReLU")):
        with pytest.raises(ConfigError, match=rf"inputs go with a torch module.* none: {kind}"):
            perfsuite.profile(given, (torch.ones(1),))  # type: ignore[call-overload]
