"""What NumPy's BLAS is worth, for all formats."""

from __future__ import annotations

from perfsuite.domain.diagnosis import Ablation, LibraryWorth
from perfsuite.report import words
from perfsuite.report.sentences.ablation import ratio_text
from perfsuite.report.tables.cell_rows import plain

COLUMNS = ("NumPy's product", "turned off", "latency", "times as long", "computed by", "")
_WHOSE = "No engine computes with it; reading pictures and scoring answers may."


def lines(found: Ablation) -> list[tuple[str, ...]]:
    """Return a line for the product as it is, followed by one for each thing that is turned off."""
    if not found.numpy:
        return []
    whole = next((one for one in found.numpy if one.whole_s is not None), None)
    first = ("float32", "nothing", *(("", "", "") if whole is None else _whole(whole)), "")
    return [first, *map(_line, found.numpy)]


def sentences(found: Ablation) -> list[str]:
    """Return what NumPy's BLAS is worth in one sentence, or why it is not known."""
    if found.numpy_problem:
        return [f"What NumPy's BLAS is worth could not be measured: {plain(found.numpy_problem)}."]
    longest = max(
        (one for one in found.numpy if one.times_as_long and one.times_as_long.low > 1.0),
        key=lambda one: one.times_as_long.value if one.times_as_long else 0.0,
        default=None,
    )
    if longest is None or longest.times_as_long is None:
        return []
    ratio, what = ratio_text(longest.times_as_long), _turned_off(longest)
    return [f"NumPy's own matrix product takes {ratio} times as long with {what}. {_WHOSE}"]


def _turned_off(one: LibraryWorth) -> str:
    """Return what is done, of a library or to the number of threads."""
    title = plain(one.turned_off)
    return title if one.switch == "one-thread" else f"{plain(one.library)} {title}"


def _whole(one: LibraryWorth) -> tuple[str, ...]:
    return (words.seconds(one.whole_s or 0.0), "", plain(one.ran_before))


def _line(one: LibraryWorth) -> tuple[str, ...]:
    return (
        "",
        _turned_off(one),
        one.status if one.without_s is None else words.seconds(one.without_s),
        "" if one.times_as_long is None else ratio_text(one.times_as_long),
        plain(one.ran_after),
        plain(one.reason) or ("" if one.seen is not False else "not seen to act"),
    )
