"""Where students come from: the table, or a user's file, in any of the forms that it may have."""

from __future__ import annotations

from pathlib import Path

import pytest
from students import students

from perfsuite.errors import ConfigError
from perfsuite.models.students import Pictures
from perfsuite.passes.distill.student import make

torch = pytest.importorskip("torch")


def test_the_seed_draws_the_weights_and_nothing_else_is_drawn(tmp_path: Path) -> None:
    reference, before = f"{students(tmp_path)}:small", torch.get_rng_state()
    one, same, other = (make(reference, None, seed).module for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one[0].weight, same[0].weight)
    assert one[0].weight.data_ptr() != same[0].weight.data_ptr()
    assert not torch.equal(one[0].weight, other[0].weight)
    pictures = Pictures(1, 8, 8, 3)
    drawn = [make("shufflenet-x0.5", pictures, seed).module.fc.weight for seed in (3, 3, 4)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("name", ["staged", "pretrained"])
def test_a_model_or_a_workload_brings_its_stages(tmp_path: Path, name: str) -> None:
    made = make(f"{students(tmp_path)}:{name}", None, 0)
    assert type(made.module).__name__ == "Staged"
    assert [stage.name for stage in made.stages] == ["body", "head"]


def test_one_object_that_is_given_each_time_is_copied(tmp_path: Path) -> None:
    path = students(tmp_path, "once = small()\n\n\ndef again():\n    return once\n")
    for name in ("once", "again"):
        one, other = (make(f"{path}:{name}", None, 0).module for _ in range(2))
        assert one[0].weight.data_ptr() != other[0].weight.data_ptr()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("net = 5", r"must be a function that returns a torch.nn.Module, .*; it gives int"),
        ("def net():\n    return {}", "it gives dict"),
        ("def net():\n    pass", "it gives None"),
        ("net = Model(onnx='x.onnx')", "it gives None"),
        (
            "def net(classes):\n    return small()",
            r"building it failed .*TypeError: net\(\) missin",
        ),
        (
            "def net():\n    return smal()",
            r"building it failed in line \d+ of .*my_models.py with N",
        ),
        ("def net():\n    return nn.LazyLinear(3)", "'weight' is lazy"),
        (
            "net = Model(small, stages=(Stage('head', ('fc',)),))",
            r": its stages: .*'fc'",
        ),
    ],
)
def test_what_gives_no_net_is_told(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"student '.*my_models.py:net'.*{message}"):
        make(f"{students(tmp_path, more)}:net", None, 0)
