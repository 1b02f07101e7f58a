"""The order of the passes of a recipe: what each demands of those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from perfsuite.config.conversion import Location
from perfsuite.domain.recipe import is_graph_pass, replaces_model


class PlacedPass(NamedTuple):
    """A pass of a recipe: its name there, the pass as configured, and where it stands."""

    use: str
    made: Any  # a ModelPass or a GraphPass
    here: Location


def check_order(passes: Sequence[PlacedPass], inherited: int = 0) -> None:
    """Raise `ConfigError` for the first pass that cannot follow those before it.

    The message says which order is possible. The first `inherited` passes are those of the recipe
    that this one is made from.
    """
    for index, step in enumerate(passes):
        why = _why_not(step, passes[:index])
        if why:
            raise step.here.error(f"{why}; {_possible(passes, inherited)}")


def _why_not(step: PlacedPass, before: Sequence[PlacedPass]) -> str:
    """Return why a pass cannot follow the passes `before`; '' if it can."""
    graphs = [one for one in before if is_graph_pass(one.made)]
    if graphs and not is_graph_pass(step.made):
        return (
            f"'{step.use}' changes the torch module, and '{graphs[-1].use}' before it the graph "
            f"that is exported from it"
        )
    if before and replaces_model(step.made):
        first = next((one for one in before if replaces_model(one.made)), None)
        if first is not None:
            return (
                f"'{step.use}' puts another net in the place of the model, as '{first.use}' before "
                f"it does, whose net would be lost"
            )
        return (
            f"'{step.use}' puts another net in the place of the model, and what "
            f"'{before[0].use}' before it makes would be lost"
        )
    if _repeats(step, before):
        return f"'{step.use}' stands here a second time, and can be used only once"
    return ""


def _repeats(step: PlacedPass, before: Sequence[PlacedPass]) -> bool:
    return bool(getattr(step.made, "once", False)) and any(
        type(one.made) is type(step.made) for one in before
    )


def _possible(passes: Sequence[PlacedPass], inherited: int) -> str:
    """Return the order that is possible, in words, without what cannot stand there twice."""
    kept: list[PlacedPass] = []
    for step in passes:
        second = replaces_model(step.made) and any(replaces_model(one.made) for one in kept)
        if not second and not _repeats(step, kept):
            kept.append(step)
    # Sorting keeps the order of passes that may stand in any.
    kept.sort(key=lambda one: (is_graph_pass(one.made), not replaces_model(one.made)))
    said = f"possible is {', '.join(one.use for one in kept)}"
    if kept[:inherited] == list(passes[:inherited]):
        return said
    return f"{said}: write all of them in this recipe, and leave `from` out"
