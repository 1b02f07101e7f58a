"""What people may mean by a device that no engine has."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite.config.conversion import Location
from perfsuite.config.naming import having, name_and_reference, suggested
from perfsuite.errors import ConfigError
from perfsuite.runtimes.table import RUNTIMES


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("gpu", "; did you mean 'cuda'?"),
        ("NVIDIA", "; did you mean 'cuda'?"),
        ("cuda:1", "; a card is 'cuda', and CUDA_VISIBLE_DEVICES=1 says which one it is"),
        ("gpu:0", "; a card is 'cuda', and CUDA_VISIBLE_DEVICES=0 says which one it is"),
        ("sm_90", "; known: cpu, cuda, sm_89; on a machine with such a card it is 'cuda'"),
        ("SM89", "; did you mean 'sm_89'?"),
        ("8.9", "; did you mean 'sm_89'?"),
        ("int8", '; INT8 is made by a pass: a recipe with passes = ["int8"]'),
        ("coda", "; did you mean 'cuda'?"),
    ],
)
def test_a_card_by_another_name_is_known(word: str, told: str) -> None:
    assert suggested(word, ("cpu", "cuda", "sm_89")) == told


def test_where_no_engine_has_cards_none_is_suggested() -> None:
    assert suggested("cuda:1", ("cpu",)) == "; known: cpu"
    assert suggested("sm_90", ("cpu",)) == "; known: cpu"


def test_the_runtimes_that_have_it_are_named_before_any_guess() -> None:
    assert having("sm_89", "devices", RUNTIMES) == ["tensorrt-rtx"]
    assert "fake" not in having("fp16", "precisions", RUNTIMES), "it runs no net"
    assert suggested("tf32", ("fp32",), ["pytorch", "tensorrt"]) == "; pytorch, tensorrt have it"
    assert suggested("sm_89", ("cuda",), ["tensorrt-rtx"]) == "; tensorrt-rtx has it"


def test_a_link_to_a_file_that_is_named_by_its_content_keeps_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "3f2a9c").write_bytes(b"")
    (tmp_path / "net.onnx").symlink_to("3f2a9c")
    (tmp_path / "link.onnx").symlink_to("net-7.onnx")
    told = [
        name_and_reference(name, tmp_path, Location("suite.toml"))
        for name in ("net.onnx", "link.onnx")
    ]
    assert told == [
        ("net", str(tmp_path.resolve() / "net.onnx")),
        ("net-7", str(tmp_path.resolve() / "net-7.onnx")),
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("net (1).onnx", r"'net \(1\)' cannot be a name: .*; rename the file, or give it a link"),
        ("nets/NET.ONNX", r"cannot be a name: .*; a file is written as net\.onnx or my_models\.py"),
    ],
)
def test_a_name_that_cannot_be_one_comes_with_what_to_do(
    tmp_path: Path, given: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        name_and_reference(given, tmp_path, Location("suite.toml"))
