"""Whatever suite is written comes back; whatever key is unknown is refused where it stands."""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfsuite.config import cells, match, read_suite
from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.domain.suite import Budget, Evaluate, Expect, Measure, ResolvedSuite
from perfsuite.errors import ConfigError

# A suite has many parts, and on a busy machine drawing one may take a while.
settings.register_profile(
    "suites", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
SUITES = settings.get_profile("suites")

NAMES = st.text("abZ09._+-", min_size=1, max_size=6)
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
COUNTS = st.integers(1, 10_000)
AMOUNTS = st.floats(0, 1e9)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.booleans() | st.integers(-(2**63), 2**63 - 1) | FLOATS | TEXTS
FIELDS = st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=2), max_size=2)
GLOBS = st.builds("{}*".format, NAMES)


def unique(items: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, min_size=1, max_size=2, unique=True).map(tuple)


@st.composite
def budgets(draw: st.DrawFn) -> Budget:
    kind = draw(st.sampled_from(["min_speedup", "max_drop_points", "max_increase", "max", "min"]))
    metric = draw(st.sampled_from(["top1", "mAP"] if kind == "max_drop_points" else ["latency_s"]))
    fields: dict[str, Any] = {kind: draw(st.floats(1e-3, 1e3))}
    if kind not in ("max", "min"):
        fields |= draw(st.sampled_from([{"against": "a/*"}, {"baseline": True}]))
    if metric == "latency_s":
        fields["statistic"] = draw(st.sampled_from(["median", "p95"]))
    return Budget(name=draw(TEXTS), metric=metric, cell=draw(GLOBS), **fields)


@st.composite
def suites(draw: st.DrawFn) -> ResolvedSuite:
    named = draw(unique(NAMES))
    passes = st.lists(st.builds(PassUse, NAMES, FIELDS), min_size=1, max_size=2).map(tuple)
    return ResolvedSuite(
        name="suite",
        workloads={name: name for name in draw(unique(NAMES))},
        runtimes=draw(unique(NAMES)),
        recipes=(FP32, *(ResolvedRecipe(name, draw(passes)) for name in named)),
        devices=draw(unique(NAMES)),
        precision=draw(unique(NAMES)),
        batches=draw(unique(COUNTS)),
        threads=draw(st.none() | COUNTS),
        processes=draw(COUNTS),
        evaluate=Evaluate(draw(st.none() | COUNTS), draw(st.sampled_from(["test", "validation"]))),
        hold_out=draw(st.booleans()),
        measure=Measure(draw(COUNTS), draw(AMOUNTS), draw(AMOUNTS), draw(st.floats(1e-3, 1e6))),
        expect=tuple(
            draw(
                st.lists(
                    st.builds(
                        Expect,
                        st.sampled_from(["unsupported", "unavailable"]),
                        TEXTS,
                        workload=GLOBS,
                        device=GLOBS,
                    ),
                    max_size=2,
                )
            )
        ),
        budgets=tuple(draw(st.lists(budgets(), max_size=2, unique_by=lambda b: b.name))),
        compare=draw(st.sampled_from(["absolute", "ratio"])),
    )


def as_table(suite: ResolvedSuite) -> dict[str, Any]:
    """Return what a user would write for the suite."""
    table = msgspec.to_builtins(suite)
    # They are no keys of a file, or tables with a user's own keys.
    own = ("samples", "shapes", "detection")
    asked = ("sensitivity", "switches", "ablation", "across")  # by commands of their own alone
    for key in ("name", "runtime_files", "inspect", "picture", *own, *asked):
        del table[key]
    table["workloads"] = list(suite.workloads.values())
    table["recipes"] = [
        {"name": recipe.name, "passes": [{"use": use.use, **use.fields} for use in recipe.passes]}
        for recipe in suite.recipes[1:]
    ]
    return table


def toml(value: object) -> str:
    """Return `value` in TOML, tables inline."""
    if isinstance(value, dict):
        pairs = (f"{json.dumps(k)} = {toml(v)}" for k, v in value.items() if v is not None)
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str):  # JSON's escapes are TOML's but for DEL, and surrogate pairs
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value) if isinstance(value, bool) else repr(value)


def document(table: dict[str, Any]) -> str:
    pairs = (f"{json.dumps(k)} = {toml(v)}\n" for k, v in table.items() if v is not None)
    return "".join(pairs)


def read(text: str) -> ResolvedSuite:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "suite.toml")
        path.write_bytes(text.encode())
        return read_suite(path)


@SUITES
@given(suites())
def test_a_written_suite_comes_back(suite: ResolvedSuite) -> None:
    assert read(document(as_table(suite))) == suite


@SUITES
@given(suites())
def test_a_suite_survives_the_journal(suite: ResolvedSuite) -> None:
    assert msgspec.json.decode(msgspec.json.encode(suite), type=ResolvedSuite) == suite


def tables(value: object, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Return every table whose keys are fixed, with its path; a pass's keys are the pass's own."""
    if isinstance(value, dict):
        found = [] if ".passes" in path else [(path, value)]
        inner = [(f"{path}.{key}" if path else key, item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        found, inner = [], [(f"{path}[{i}]", item) for i, item in enumerate(value)]
    else:
        return []
    return found + list(itertools.chain(*(tables(item, where) for where, item in inner)))


@SUITES
@given(suites(), st.data())
def test_an_unknown_key_is_refused_where_it_stands(
    suite: ResolvedSuite, data: st.DataObject
) -> None:
    table = as_table(suite)
    path, victim = data.draw(st.sampled_from(tables(table)))
    key = data.draw(st.from_regex(r"zz[a-z]{0,6}", fullmatch=True))
    victim[key] = data.draw(SCALARS)
    try:
        read(document(table))
    except ConfigError as error:
        where = f"{path}.{key}" if path else key
        assert str(error).startswith(f"suite.toml: {where}: unknown key; ")
    else:
        raise AssertionError(f"{path}: {key} was let through")


@SUITES
@given(suites())
def test_keys_and_ids_tell_cells_apart_and_globs_find_their_own(suite: ResolvedSuite) -> None:
    found = cells(msgspec.structs.replace(suite, threads=2))
    expected = len(suite.workloads) * len(suite.recipes) * len(suite.runtimes) * len(suite.devices)
    assert len(found) == expected * len(suite.precision) * len(suite.batches)
    assert len({cell.id for cell in found}) == len({cell.key for cell in found}) == len(found)
    assert all(match(cell.key, cell.key) and match("*", cell.key) for cell in found)


CELLS = st.builds(
    Cell, NAMES, NAMES, NAMES, NAMES, st.sampled_from(["fp32", "fp16"]), COUNTS, COUNTS
)


@given(CELLS, st.randoms(use_true_random=False))
def test_cell_ids_ignore_the_order_of_keys(cell: Cell, random: Any) -> None:
    fields = list(msgspec.to_builtins(cell).items())
    random.shuffle(fields)
    assert msgspec.convert(dict(fields), Cell).id == cell.id


FEW = st.sampled_from(["a", "b"])
SIMILAR = st.builds(Cell, FEW, FEW, FEW, batch=st.integers(1, 2), threads=st.integers(1, 2))


@given(SIMILAR, SIMILAR)
def test_equal_ids_mean_equal_cells(one: Cell, other: Cell) -> None:
    assert (one.id == other.id) == (one == other)
