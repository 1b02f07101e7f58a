"""The suite behind `perfsuite profile`: names checked with suggestions, paths made absolute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfsuite.config import cells
from perfsuite.config.profile_suite import single_suite
from perfsuite.domain.recipe import PassUse
from perfsuite.errors import ConfigError
from perfsuite.passes.prune.prune import Prune


def test_every_engine_is_the_default() -> None:
    suite = single_suite("vgg-digits", threads=2)
    assert suite.name == "profile-vgg-digits"
    assert [cell.key for cell in cells(suite)] == [
        "vgg-digits/fp32/pytorch/cpu/b1",
        "vgg-digits/fp32/onnxruntime/cpu/b1",
        "vgg-digits/fp32/openvino/cpu/b1",
    ]
    assert suite.processes == 1
    assert suite.inspect.roofline


def test_on_a_card_it_is_every_engine_that_has_one() -> None:
    suite = single_suite("vgg-digits", device="cuda", precision="tf32")
    keys = [cell.key for cell in cells(suite)]
    assert keys[0] == "vgg-digits/fp32/pytorch/cuda/b1/tf32"
    assert not any("/openvino/" in key for key in keys)


def test_what_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("net = engine = None\n")
    Path("net.onnx").write_bytes(b"")
    suite = single_suite(
        "mine.py:net", ["openvino", "mine.py:engine"], "int8", batch=4, picture=Path("cat.jpg")
    )
    assert [cell.key for cell in cells(suite)] == [
        "net/int8/openvino/cpu/b4",
        "net/int8/engine/cpu/b4",
    ]
    assert suite.workloads == {"net": f"{tmp_path}/mine.py:net"}
    assert suite.runtime_files == {"engine": f"{tmp_path}/mine.py:engine"}
    assert suite.picture == f"{tmp_path}/cat.jpg"
    assert single_suite("net.onnx").workloads == {"net": f"{tmp_path}/net.onnx"}
    Path("s.npz").write_bytes(b"")
    shapes = {"x": [1, 3, "?", "batch"]}
    suite = single_suite("net.onnx", samples=Path("s.npz"), shapes=shapes)
    assert suite.samples == {"net": f"{tmp_path}/s.npz"}
    assert suite.shapes == {"net": {"x": (1, 3, "?", "batch")}}
    with pytest.raises(ConfigError, match="--samples: there is no file t"):
        single_suite("net.onnx", samples=Path("t.npz"))


@pytest.mark.parametrize(
    ("workload", "more", "message"),
    [
        ("vgg-digit", {}, "unknown workload 'vgg-digit'; did you mean 'vgg-digits'?"),
        ("no.py:net", {}, "there is no file"),
        ("no.onnx", {}, "there is no file"),
        ("a b", {}, "WORKLOAD: 'a b' cannot be a name"),
        (
            "vgg-digits",
            {"runtimes": ["openvin"]},
            "unknown runtime 'openvin'; did you mean 'openvino'?",
        ),
        (
            "vgg-digits",
            {"runtimes": ["openvino", "openvino"]},
            "--runtime 'openvino' is given twice",
        ),
        ("vgg-digits", {"recipe": "int9"}, "unknown recipe 'int9'; did you mean 'int8'?"),
        ("vgg-digits", {"recipe": "fp23"}, "unknown recipe 'fp23'; did you mean 'fp32'?"),
        ("vgg-digits", {"device": "cudo"}, "has 'cudo'; did you mean 'cuda'? (they have cpu, cuda"),
        (
            "vgg-digits",
            {"device": "cuda", "runtimes": ["openvino"]},
            "--device: no engine that was asked for has 'cuda'",
        ),
        (
            "vgg-digits",
            {"precision": "fp61", "runtimes": ["pytorch"]},
            "--precision: no engine that was asked for has 'fp61'; did you mean 'fp16'?",
        ),
        ("vgg-digits", {"recipe": "no.py:Pass"}, "--recipe: use: pass '"),
        ("vgg-digits", {"samples": Path("s.npz")}, "--samples is for ONNX files; the task of 'vgg"),
        ("vgg-digits", {"shapes": {"x": (1, 3)}}, "--shape is for ONNX files; the task of 'vgg-d"),
    ],
)
def test_what_is_not_there_is_refused(workload: str, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        single_suite(workload, **more)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("pass_", "fields", "name"),
    [
        ("prune", {"macs": 0.5, "scope": "uniform"}, "prune-macs-0.5-scope-uniform"),
        ("lowrank", {"macs": 0.5}, "lowrank-macs-0.5"),
    ],
)
def test_a_pass_that_needs_a_goal_has_one_and_its_name_tells_it(
    pass_: str, fields: dict[str, Any], name: str
) -> None:
    suite = single_suite("torchvision:resnet18", ["pytorch"], pass_)
    (recipe,) = suite.recipes
    assert recipe.passes == (PassUse(pass_, fields),)
    assert [cell.key for cell in cells(suite)] == [f"resnet18/{name}/pytorch/cpu/b1"]


def test_a_pass_without_such_a_goal_is_told_to_be_given_fields(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(Prune, "profiled_with")
    with pytest.raises(ConfigError) as caught:
        single_suite("vgg-digits", recipe="prune")
    assert str(caught.value) == (
        "--recipe: give exactly one of ratio, macs and speedup; there is none of them (here a pass "
        "has its defaults; a suite gives it fields, and the report of its run says where the time "
        "goes)"
    )
