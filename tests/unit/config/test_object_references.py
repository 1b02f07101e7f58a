"""What an object is called, so that another process finds it, and when it cannot be."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from perfsuite.config import object_references
from perfsuite.config.conversion import Location
from perfsuite.config.object_references import reference_of
from perfsuite.domain.model import Model
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError

HELD = """
from perfsuite import Model, Workload

def net(): ...

class Engine: ...

held = Workload("held", Model())
short = lambda: held
inner = {"hidden": Workload("hidden", Model())}

def maker():
    def made(): ...
    return made
"""


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "held_objects.py").write_text(HELD)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("held_objects")
    del sys.modules["held_objects"]


def reference(plugin: object, table: dict[str, object] | None = None) -> str:
    return reference_of("workload", plugin, table or {}, Location("Suite(...)", "workloads[1]"))


def test_texts_and_paths_stay() -> None:
    assert reference("vgg-digits") == "vgg-digits"
    assert reference(Path("nets/net.onnx")) == "nets/net.onnx"


def test_an_object_is_called_by_its_file_and_name(held: ModuleType, tmp_path: Path) -> None:
    for name in ("net", "Engine", "held", "short"):
        assert reference(getattr(held, name)) == f"{tmp_path}/held_objects.py:{name}"


def test_where_it_is_defined_comes_first_and_the_program_last(
    held: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = {}
    for name in ("__main__", "elsewhere"):
        others[name] = ModuleType(name)
        others[name].__file__ = f"{tmp_path}/{name}.py"
        others[name].net, others[name].same = held.net, held.held  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, others[name])
    assert reference(held.net) == f"{tmp_path}/held_objects.py:net"
    monkeypatch.delattr(held, "held")
    assert reference(others["__main__"].same) == f"{tmp_path}/elsewhere.py:same"
    monkeypatch.delattr(others["elsewhere"], "same")
    assert reference(others["__main__"].same) == f"{tmp_path}/__main__.py:same"


def test_what_a_table_or_a_package_offers_has_that_name(
    held: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reference(held.net, {"vgg": object(), "shown": held.net}) == "shown"
    offered = [
        SimpleNamespace(name="other", module="gone", attr="net"),
        SimpleNamespace(name="offered", module="held_objects", attr="held"),
    ]
    groups = {"perfsuite.workloads": offered}
    monkeypatch.setattr(object_references, "entry_points", lambda group: groups[group])
    assert reference(held.held) == "offered"


def test_what_no_file_has_under_a_name_is_refused(held: ModuleType) -> None:
    told = "has no name in a Python file, and every job runs in a process of its own"
    for plugin, named in (
        (lambda: None, "<lambda>'"),
        (held.maker(), "'maker.<locals>.made'"),
        (held.inner["hidden"], "this object, a Workload,"),
        (functools.partial(held.net), "this object, a partial,"),
        (Workload("mine", Model()), "this object, a Workload,"),
    ):
        with pytest.raises(ConfigError) as caught:
            reference(plugin)
        assert str(caught.value).startswith("Suite(...): workloads[1]: ")
        assert f"{named} {told}" in str(caught.value)


@pytest.mark.parametrize("plugin", [None, 3, ["vgg"], {"vgg": 1}])
def test_plain_values_are_no_plugins(plugin: object) -> None:
    with pytest.raises(ConfigError, match=r"workloads\[1\]: .* is no workload"):
        reference(plugin)
