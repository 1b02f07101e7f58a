"""Passes in an impossible order: refused where they stand, with the order that is possible."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite import api
from perfsuite.config import make_pass
from perfsuite.config.conversion import Location
from perfsuite.config.loading import load_suite
from perfsuite.config.pass_order import PlacedPass, check_order
from perfsuite.domain.recipe import PassUse
from perfsuite.errors import ConfigError

HEAD = 'workloads = ["vgg-digits"]\nruntimes = ["onnxruntime"]\nthreads = 1\n'
MINE = """
from typing import ClassVar
import msgspec


class Tune(msgspec.Struct, frozen=True):
    version: ClassVar[int] = 1

    def resolve(self, target):
        return ""

    def fit(self, model, ctx): ...
    def rebuild(self, model, edits): ...


class Swap(Tune, frozen=True):
    by: str = "a"
    replaces: ClassVar[bool] = True


class Widen(Tune, frozen=True):
    once: ClassVar[bool] = True


class Flush(msgspec.Struct, frozen=True):
    version: ClassVar[int] = 1

    def resolve(self, target):
        return ""

    def apply(self, graph, ctx): ...
"""
SWAP, TUNE, FLUSH = "mine.py:Swap", "mine.py:Tune", "mine.py:Flush"
INT8, PRUNE = "int8", "prune"


def recipe(name: str, *uses: str, base: str = "") -> str:
    tables = ", ".join(
        f'{{ use = "{use}"{", macs = 0.5" if use == PRUNE else ""} }}' for use in uses
    )
    made_from = f'from = "{base}"\n' if base else ""
    return f'[[recipes]]\nname = "{name}"\n{made_from}passes = [{tables}]\n'


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path / "suite.toml"


def refusal(suite: Path, *recipes: str) -> str:
    """Return what is told when the suite is read, without the folder of the user's file."""
    suite.write_text(HEAD + "".join(recipes))
    with pytest.raises(ConfigError) as caught:
        api.plan(suite)
    return str(caught.value).replace(f"{suite.parent}/", "")


@pytest.mark.parametrize(
    "uses",
    [
        (SWAP, PRUNE, "mine.py:Widen", TUNE, TUNE, PRUNE, FLUSH, INT8, FLUSH),
        (PRUNE, INT8),
        (SWAP,),
        (FLUSH, INT8),
    ],
)
def test_what_is_possible_is_taken(suite: Path, uses: tuple[str, ...]) -> None:
    suite.write_text(HEAD + recipe("r", *uses))
    (found,) = load_suite(suite)[0].recipes[1:]
    assert [use.use.replace(f"{suite.parent}/", "") for use in found.passes] == list(uses)


def test_a_pass_on_the_net_after_one_on_its_graph(suite: Path) -> None:
    assert refusal(suite, recipe("r", TUNE, INT8, FLUSH, PRUNE)) == (
        "suite.toml: recipes[0].passes[3]: 'prune' changes the torch module, and 'mine.py:Flush' "
        "before it the graph that is exported from it; possible is mine.py:Tune, prune, int8, "
        "mine.py:Flush"
    )


def test_another_net_after_what_was_done_to_the_model(suite: Path) -> None:
    assert refusal(suite, recipe("r", PRUNE, SWAP, INT8)) == (
        "suite.toml: recipes[0].passes[1]: 'mine.py:Swap' puts another net in the place of the "
        "model, and what 'prune' before it makes would be lost; possible is mine.py:Swap, prune, "
        "int8"
    )
    assert refusal(suite, recipe("r", INT8, SWAP)).endswith("possible is mine.py:Swap, int8")


def test_a_second_pass_where_there_can_be_one(suite: Path) -> None:
    assert refusal(suite, recipe("r", SWAP, PRUNE, SWAP)) == (
        "suite.toml: recipes[0].passes[2]: 'mine.py:Swap' puts another net in the place of the "
        "model, as 'mine.py:Swap' before it does, whose net would be lost; possible is "
        "mine.py:Swap, prune"
    )
    assert refusal(suite, recipe("r", PRUNE, INT8, INT8)) == (
        "suite.toml: recipes[0].passes[2]: 'int8' stands here a second time, and can be used only "
        "once; possible is prune, int8"
    )
    assert "'mine.py:Widen' stands here a second time" in refusal(
        suite, recipe("r", "mine.py:Widen", TUNE, "mine.py:Widen")
    )


def test_passes_of_the_recipe_that_it_is_made_from_count(suite: Path) -> None:
    small, base = recipe("small", PRUNE, INT8), "small"
    assert refusal(suite, recipe("r", INT8, base=base), small) == (
        "suite.toml: recipes[0].passes[0]: 'int8' stands here a second time, and can be used only "
        "once; possible is prune, int8"
    )
    assert refusal(suite, recipe("r", TUNE, base=base), small) == (
        "suite.toml: recipes[0].passes[0]: 'mine.py:Tune' changes the torch module, and 'int8' "
        "before it the graph that is exported from it; possible is prune, mine.py:Tune, int8: "
        "write all of them in this recipe, and leave `from` out"
    )
    assert refusal(suite, recipe("r", SWAP, base=base), small).endswith(
        "possible is mine.py:Swap, prune, int8: write all of them in this recipe, and leave `from` "
        "out"
    )
    # A mistake of the base is told there, though what is made from it stands first.
    wrong = recipe("small", INT8, PRUNE)
    assert refusal(suite, recipe("r", INT8, base=base), wrong).startswith(
        "suite.toml: recipes[1].passes[1]: 'prune' changes"
    )


def test_the_order_that_is_told_is_itself_possible(suite: Path) -> None:
    names = (INT8, PRUNE, SWAP, TUNE, FLUSH)
    for first in names:
        for second in names:
            for third in names:
                told = _told(suite, (first, second, third))
                assert told == "" or _told(suite, told.split(", ")) == ""


def _told(suite: Path, uses: tuple[str, ...] | list[str]) -> str:
    """Return the order that is said to be possible; '' if this one is."""
    placed = [
        PlacedPass(
            use,
            make_pass(
                PassUse(
                    use.replace("mine.py", f"{suite.parent}/mine.py"),
                    {"macs": 0.5} if use == PRUNE else {},
                )
            ),
            Location("s"),
        )
        for use in uses
    ]
    try:
        check_order(placed)
    except ConfigError as error:
        return str(error).partition("possible is ")[2]
    return ""
