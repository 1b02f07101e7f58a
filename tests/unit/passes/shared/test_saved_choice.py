"""What a pass chose is found again, whatever the clock says the second time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import msgspec

from perfsuite.domain.device import DeviceIdentity, QuantizedGraphs
from perfsuite.domain.recipe import Target
from perfsuite.passes.shared.saved_choice import clock_identity, load_or_choose


class Ranked(TypedDict):
    ranks: list[int]


def ranked(*ranks: int) -> Ranked:
    return {"ranks": list(ranks)}


def test_the_first_choice_stays(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "key.ranks.json"
    assert load_or_choose(path, Ranked, lambda: ranked(1, 2)) == {"ranks": [1, 2]}
    assert load_or_choose(path, Ranked, lambda: ranked(3, 4)) == {"ranks": [1, 2]}
    assert [file.name for file in path.parent.iterdir()] == ["key.ranks.json"]


def test_a_torn_file_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    for torn in (b"", b'{"ranks": [1', b"[1, 2]", b'{"kept": [1]}', b'{"ranks": ["a"]}'):
        path.write_bytes(torn)
        assert load_or_choose(path, Ranked, lambda: ranked(5)) == {"ranks": [5]}
        assert load_or_choose(path, Ranked, lambda: ranked(6)) == {"ranks": [5]}


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def fails() -> dict[str, Any]:
        raise KeyError

    path = tmp_path / "key.json"
    try:
        load_or_choose(path, dict[str, Any], fails)
    except KeyError:
        assert not list(tmp_path.iterdir())
    else:
        raise AssertionError("the error was lost")


def test_every_field_of_the_target_counts() -> None:
    base = Target("onnxruntime", "cpu")
    others = [
        Target("openvino", "cpu"),
        Target("onnxruntime", "cuda"),
        Target("onnxruntime", "cpu", ("avx512f",)),
        Target("onnxruntime", "cpu", batch=8),
        Target("onnxruntime", "cpu", threads=2),
        Target("onnxruntime", "cpu", precision="bf16"),
        Target("onnxruntime", "cpu", libraries=("onnxruntime 1.32.0",)),
    ]
    cards = [DeviceIdentity("cuda", name, ("sm_90",)) for name in ("one", "another")]
    others += [Target("onnxruntime", "cuda", card.features, identity=card) for card in cards]
    texts = {clock_identity(target) for target in [base, *others]}
    assert len(texts) == 1 + len(others)
    assert clock_identity(base) == clock_identity(Target("onnxruntime", "cpu"))


def test_what_was_chosen_before_devices_had_an_identity_is_found() -> None:
    identity = DeviceIdentity("cpu", "of any name", ("avx2",))
    target = Target("onnxruntime", "cpu", ("avx2",), threads=2, identity=identity)
    quantized = msgspec.structs.replace(target, quantized=QuantizedGraphs())
    assert clock_identity(target) == clock_identity(quantized)
    assert clock_identity(target) == (
        '{"batch":1,"device":"cpu","features":["avx2"],"libraries":[],"precision":"fp32",'
        '"runtime":"onnxruntime","threads":2}'
    )
