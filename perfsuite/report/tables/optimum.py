"""The table of the candidates of a search."""

from __future__ import annotations

from collections.abc import Iterator

from perfsuite.domain.optimum import Candidate, Optimum
from perfsuite.domain.verdict import Interval
from perfsuite.report import words
from perfsuite.report.sentences.optimum import engine_text, why_text
from perfsuite.report.tables.texts import faster_text, loss_text

COLUMNS = ("", "recipe", "engine", "speed-up", "points lost", "size", "why")
TESTED_COLUMNS = ("", "recipe", "engine", "latency", "speed-up", "points lost", "size")
TESTED_TITLE = "On the test samples: the best (*) and the Pareto front"
TITLE = "All candidates, with losses on the validation samples (* the best, + the Pareto front)"


def tested_lines(found: Optimum) -> Iterator[tuple[str, ...]]:
    """Yield a line for each candidate of the final run."""
    for one in found.candidates:
        if one.test is not None:
            latency_s = one.test.latency_s
            yield (
                _mark(one, found),
                one.recipe.name,
                engine_text(one),
                "" if latency_s is None else words.seconds(latency_s),
                _speed_text(one.test.speedup),
                loss_text(one.test.loss_points),
                "" if one.size_bytes is None else words.size(one.size_bytes),
            )


def lines(found: Optimum) -> Iterator[tuple[str, ...]]:
    """Yield a line for each candidate of the search, with what became of it.

    Recipes that were not tried for the same reason are in one line, the last.
    """
    untried: dict[str, list[str]] = {}
    for one in found.candidates:
        if not one.key:
            untried.setdefault(why_text(one, found.goal), []).append(one.recipe.name)
            continue
        yield (
            _mark(one, found),
            one.recipe.name,
            engine_text(one),
            _speed_text(one.speedup),
            loss_text(one.loss_points),
            "" if one.size_bytes is None else words.size(one.size_bytes),
            why_text(one, found.goal),
        )
    for why, names in untried.items():
        yield ("", f"{len(names)} more", "", "", "", "", f"{why} ({', '.join(names)})")


def _speed_text(found: Interval | None) -> str:
    return "" if found is None else faster_text(found)


def _mark(one: Candidate, found: Optimum) -> str:
    if one.key and one.key == found.best:
        return "*"
    return "+" if one.front else ""
