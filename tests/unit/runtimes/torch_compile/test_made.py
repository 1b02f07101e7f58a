"""What compiling found out, as it is kept and told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from perfsuite.errors import SchemaError
from perfsuite.runtimes.torch_compile import counters as module
from perfsuite.runtimes.torch_compile.counters import Counted, since
from perfsuite.runtimes.torch_compile.kernels import CodeCall
from perfsuite.runtimes.torch_compile.made import Made, read_made, write_made
from perfsuite.runtimes.torch_compile.session import cache_item


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = Made(2, 3.5, "odd", {"print": 1}, (CodeCall("cpp_fused_0:1", ("a/relu",)),))
    write_made(tmp_path, made)
    assert read_made(tmp_path) == made
    with pytest.raises(SchemaError, match="build the artifact again"):
        read_made(tmp_path / "none")


def told(made: Made) -> dict[str, str]:
    return {item.name: item.value for item in made.items()}


def test_an_exported_program_has_no_breaks() -> None:
    assert told(Made(1, 12.34)) == {
        "form": "an exported program",
        "graph breaks": "none",
        "compiling": "12.3 s, 1 graphs",
    }


def test_breaks_are_told_with_their_reasons_and_not_all_of_many() -> None:
    many = {"print": 2, "item": 1, "numpy": 1, "list": 1}
    found = told(Made(6, 1.0, "it branches on values", many))
    assert found["form"] == ("the module itself, as torch.export refuses it: it branches on values")
    assert found["graph breaks"] == "5: print (2); item (1); numpy (1) and 1 more"


def test_a_hit_and_a_miss_are_told_apart() -> None:
    hit = cache_item(Counted(2, 2, 0, {}), [])
    assert hit.value == "hit: 2 of 2 graphs, nothing was compiled anew"
    assert cache_item(Counted(2, 1, 1, {}), ["a.so"]).value == (
        "miss: 1 of 2 graphs and 1 binaries were compiled anew"
    )
    assert cache_item(Counted(1, 1, 0, {}), ["a.so"]).value.startswith("miss: 0 of 1 graphs and 1 ")


def test_counters_are_those_since_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Counter({("stats", "unique_graphs"): 1, ("inductor", "fxgraph_cache_hit"): 1})
    now = Counter(
        {
            ("stats", "unique_graphs"): 4,
            ("inductor", "fxgraph_cache_hit"): 2,
            ("aot_autograd", "autograd_cache_hit"): 1,
            ("inductor", "fxgraph_cache_miss"): 1,
            ("inductor", "fxgraph_cache_bypass"): 1,
            ("graph_break", "print called\n  at length: why"): 2,
        }
    )
    monkeypatch.setattr(module, "counters", lambda: now)
    assert since(before) == Counted(3, 1, 2, {"print called": 2})
