"""What a search tries that trains nothing: the net as it is in more ways, and rows of the table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from perfsuite.passes.table import PASSES
from perfsuite.runner.build.kernels import needed
from perfsuite.search import rules
from perfsuite.search.candidates import Row, recipe
from perfsuite.search.plans import Asked, Left
from perfsuite.search.ways import FEWER_BOXES, Way, with_fewer_boxes, with_kernels, without_loss

if TYPE_CHECKING:
    from perfsuite.search.search import Search

_NO_KERNELS = "no engine of this search has kernels for it"
_NO_TRAINING = "its training is not in the cache"


class Untrained:
    """What a search asks next, from what it found of the net as it is on all engines."""

    def __init__(self, search: Search) -> None:
        self._search, self._chosen = search, search.worthwhile()

    def ready(self) -> list[Asked]:
        """Return the rows whose trainings are in the cache; the search is told of the others."""
        return self._of_rows(row for row in self._rows if row.workloads)

    def others(self) -> list[Asked]:
        """Return what else is tried, in order: passes are fitted, which may take minutes."""
        more = [*self._autos(), *self._fewer_boxes()]
        plain: list[Asked] = [("", recipe(None, way), way) for way in more]
        return [*plain, *self._of_rows(row for row in self._rows if not row.workloads)]

    @property
    def _rows(self) -> list[Row]:
        rows = [] if self._search.survey.is_file else self._search.rows
        return [row for row in rows if row.schedule is None]

    def _of_rows(self, rows: Iterable[Row]) -> list[Asked]:
        asked: list[Asked] = []
        for row in rows:
            able = self._able(row)
            if self._is_ready(row, able):
                asked += [(row.name, recipe(row, way, self._search.clock), way) for way in able]
        return asked

    def _autos(self) -> list[Way]:
        """Return INT8 with some layers in float, wherever INT8 by itself may lose too much."""
        goal, plain = self._search.goal, [one for one in self._search.scores if not one.row]
        rounded = [one for one in plain if one.way.rounds and one.speedup and one.loss]
        lossy = [one for one in rounded if not rules.keeps_accuracy(one, goal)]
        limit = goal.max_drop_points
        return [without_loss(one.way, limit) for one in lossy if limit > 0.0]

    def _fewer_boxes(self) -> list[Way]:
        """Return the chosen ways with fewer boxes to choose from, of a detector that has more."""
        more = self._search.survey.boxes > FEWER_BOXES
        return [with_fewer_boxes(way) for way in self._chosen if more]

    def _able(self, row: Row) -> Sequence[Way]:
        """Return the chosen ways, or for a pass that needs kernels those on engines with them."""
        kinds = needed([PASSES[row.use]()])
        if not kinds:
            return self._chosen
        able = with_kernels(self._search.engines, kinds)
        if not able:
            self._search.left[row.name] = Left("lacks", _NO_KERNELS)
        return able

    def _is_ready(self, row: Row, able: Sequence[Way]) -> bool:
        """Tell whether a row needs no training: one for some workloads must be in the cache."""
        if not row.workloads or not able:
            return bool(able)
        ready = self._search.decisions.once(
            f"{row.name}: ready", bool, lambda: self._search.asked(row, able[0]).trained
        )
        if not ready:
            self._search.left[row.name] = Left("lacks", _NO_TRAINING)
        return ready
