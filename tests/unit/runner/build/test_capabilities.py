"""What a runtime says of itself, and what it need not say."""

from __future__ import annotations

from typing import Any

import pytest

from perfsuite.domain.cell import Cell
from perfsuite.domain.device import DeviceIdentity, QuantizedGraphs
from perfsuite.errors import ConfigError, PerfsuiteError
from perfsuite.processor import read_processor
from perfsuite.runner.build.capabilities import (
    identity_of,
    libraries_of,
    quantized_graphs_of,
    target_of,
    writer_key,
)

CARD = DeviceIdentity("cuda", "NVIDIA H100", ("sm_90",), {"power limit": "700 W"})
GRAPHS = QuantizedGraphs("int8", sum_in_accumulator=True)


class Silent:
    """Says only what it must."""

    name = "silent"

    def probe(self) -> dict[str, str]:
        return {"silent": "2.0", "library": "1.5"}


class Telling(Silent):
    name = "telling"

    def __init__(self, identity: Any = CARD, graphs: Any = GRAPHS) -> None:
        self.answers = identity, graphs
        self.asked: list[tuple[str, str]] = []

    def identify(self, device: str) -> Any:
        self.asked.append(("identify", device))
        return self.answers[0]

    def quantized_graphs(self, device: str) -> Any:
        self.asked.append(("quantized_graphs", device))
        return self.answers[1]


def test_a_runtime_that_says_nothing_runs_cpu_on_the_processor() -> None:
    processor = read_processor().identity
    assert identity_of(Silent(), "cpu") == processor  # type: ignore[arg-type]
    assert quantized_graphs_of(Silent(), "cpu") is None  # type: ignore[arg-type]


def test_the_first_version_of_what_is_written_is_in_no_key() -> None:
    odd: Any = type("Odd", (Silent,), {"artifact_version": "2.0"})()
    second: Any = type("Second", (Silent,), {"artifact_version": 2})()
    third: Any = type("Third", (Silent,), {"artifact_version": 2, "quantized_version": 3})()
    assert writer_key(Silent(), quantized=True) == ()  # type: ignore[arg-type]
    assert writer_key(second, quantized=True) == ("artifact version 2",)
    assert writer_key(third, quantized=False) == ("artifact version 2",)
    assert writer_key(third, quantized=True) == ("artifact version 2", "quantized version 3")
    with pytest.raises(ConfigError, match="artifact_version must give a whole number, not str"):
        writer_key(odd, quantized=False)


def test_another_device_of_it_has_no_name_and_the_processors_features() -> None:
    found = identity_of(Silent(), "npu")  # type: ignore[arg-type]
    assert found == DeviceIdentity("npu", features=read_processor().identity.features)


def test_what_a_runtime_says_is_taken() -> None:
    runtime: Any = Telling()
    assert identity_of(runtime, "cuda") == CARD
    assert quantized_graphs_of(runtime, "cuda") == GRAPHS
    assert runtime.asked == [("identify", "cuda"), ("quantized_graphs", "cuda")]
    none: Any = Telling(graphs=None)
    assert quantized_graphs_of(none, "cuda") is None


def test_another_answer_is_the_runtimes_mistake() -> None:
    runtime: Any = Telling(identity="a card", graphs="uint8")
    with pytest.raises(ConfigError) as caught:
        identity_of(runtime, "cuda")
    assert str(caught.value) == (
        "telling: its identify('cuda') must give a perfsuite.DeviceIdentity, not str"
    )
    with pytest.raises(ConfigError) as caught:
        quantized_graphs_of(runtime, "cuda")
    assert str(caught.value) == (
        "telling: its quantized_graphs('cuda') must give a perfsuite.QuantizedGraphs, or None, "
        "not str"
    )


@pytest.mark.parametrize(
    ("probed", "kind"), [(["a"], "list"), ({1: "2"}, "int"), ({"a": 2.0}, "float"), (None, "None")]
)
def test_a_probe_gives_libraries_and_their_versions(
    probed: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert libraries_of(Silent()) == {"silent": "2.0", "library": "1.5"}  # type: ignore[arg-type]
    monkeypatch.setattr(Silent, "probe", lambda self: probed)
    with pytest.raises(ConfigError) as caught:
        libraries_of(Silent())  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"silent: its probe() must give a dict of library to version, not {kind}"
    )


def test_what_it_raises_is_told_as_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, *device: str) -> None:
        raise KeyError("driver")

    for name, call in (
        ("identify", lambda one: identity_of(one, "cuda")),
        ("quantized_graphs", lambda one: quantized_graphs_of(one, "cuda")),
        ("probe", libraries_of),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Telling, name, broken)
            with pytest.raises(PerfsuiteError, match=rf"^telling: its {name}\(.*KeyError"):
                call(Telling())


def test_the_target_of_a_pass_is_the_cells() -> None:
    runtime: Any = Telling()
    cell = Cell("net", "r", "telling", "cuda", "fp16", batch=3, threads=2)
    target = target_of(runtime, cell)
    assert (target.runtime, target.device, target.precision) == ("telling", "cuda", "fp16")
    assert (target.batch, target.threads) == (3, 2)
    assert (target.identity, target.features) == (CARD, ("sm_90",))
    assert target.quantized == GRAPHS
    assert target.libraries == ("library 1.5", "silent 2.0")  # in order of name
    assert set(runtime.asked) == {("identify", "cuda"), ("quantized_graphs", "cuda")}
