"""What an evaluate job writes for people to look at: some test samples, and what was answered.

Nothing depends on it, and whatever goes wrong costs the pictures alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from perfsuite.domain.pictures import Pictures, Shown
from perfsuite.domain.record import NO_PICTURES
from perfsuite.domain.task import Predict, Task
from perfsuite.errors import ConfigError, PerfsuiteError
from perfsuite.runner.job import Job
from perfsuite.runner.jobs.thumbnails import thumbnail
from perfsuite.store.cache import Cache, NotCached, key_of
from perfsuite.store.pictures import image_of, read_pictures, write_pictures
from perfsuite.user_code import user_code
from perfsuite.workloads.checked import shows

MOST = 12  # pictures of a cell that are newly wrong
FIRST = 6  # pictures of a cell, where answers are more or less good
_FORM = "pictures 1"  # part of the key of those that are cached

Ask = Callable[[Callable[[Predict], None]], None]  # hands a `Predict` to what it is given


class _Cell(NamedTuple):
    """What pictures are made of: `rows` are a cell's answers, `key` is what these are cached by."""

    job: Job
    task: Task
    rows: np.ndarray
    key: str
    ask: Ask  # opens the artifact, where rows do not tell what was answered
    about: Pictures


class _Found(NamedTuple):
    about: Pictures
    images: dict[str, bytes]


def write_cell(job: Job, task: Task, rows: np.ndarray, key: str, ask: Ask) -> tuple[str, ...]:
    """Write the pictures of a cell into its run's folder; return a label where that failed.

    `rows` are its answers, `key` is what they are cached by, `ask` opens its artifact. Raises
    `NotCached` where the job may make nothing, and the artifact would have to answer.
    """
    about = Pictures(cell=job.cell.id, key=job.cell.key, against=job.against, samples=len(rows))
    cell = _Cell(job, task, rows, key, ask, about)
    try:
        with user_code(f"{job.cell.workload}: its pictures"):
            found = _found(cell)
    except NotCached:
        raise
    except (PerfsuiteError, MemoryError) as error:
        told = (str(error) or type(error).__name__).splitlines()[0]
        found = _without(about, told[:300])
    try:
        write_pictures(Path(job.rows).parent.parent, *found)
    except OSError:
        return (NO_PICTURES,)
    return ()


def _without(about: Pictures, why: str) -> _Found:
    return _Found(msgspec.structs.replace(about, note=f"none: {why}"), {})


def _found(cell: _Cell) -> _Found:
    """Return what of a cell is shown: samples that are newly wrong, or else the first ones."""
    if not shows(cell.task):
        return _without(cell.about, "its task shows no pictures")
    right = cell.task.right(cell.rows)
    if right is not None:
        return _newly_wrong(cell, right)

    def make(folder: Path) -> None:
        write_pictures(folder, *_made(cell, range(min(FIRST, len(cell.rows)))))

    key = key_of(_FORM, cell.key, cell.about.cell, cell.about.against)
    folder, _ = Cache(sealed=cell.job.cached_only).build("pictures", key, make)
    found = read_pictures(folder, cell.about.cell)
    return _Found(found, {one.file: image_of(folder, one) or b"" for one in found.pictures})


def _newly_wrong(cell: _Cell, right: np.ndarray) -> _Found:
    """Return samples that are wrong here and right in the cell that this one is compared with.

    Where they are many, they are spread evenly over all of them.
    """
    about, job = cell.about, cell.job
    if not job.against:
        return _without(about, "others are compared with this one")
    file = Path(job.rows).with_name(f"{job.against}.npy")
    before = np.load(file) if file.is_file() else np.zeros((0, 0))
    if before.shape != cell.rows.shape:
        return _without(about, "what it is compared with has not answered the same samples")
    was = cell.task.right(before)
    if was is None:
        raise ConfigError("right() tells of some rows which are right, and of others not")
    wrong = np.flatnonzero(was & ~right)
    spread = np.unique(np.linspace(0, len(wrong) - 1, min(MOST, len(wrong))).round().astype(int))
    about = msgspec.structs.replace(
        about,
        chosen="newly wrong",
        newly_wrong=len(wrong),
        newly_right=int((right & ~was).sum()),
    )
    return _made(cell._replace(about=about), wrong[spread].tolist())


def _made(cell: _Cell, places: Sequence[int]) -> _Found:
    """Return the pictures of the rows at `places`."""
    shown, samples = list[Shown](), cell.job.evaluate.samples
    if places:
        cell.ask(lambda predict: shown.extend(cell.task.shown(predict, cell.rows, places, samples)))
    made = [thumbnail(place, one) for place, one in zip(places, shown, strict=True)]
    pictures = tuple(picture for picture, _ in made)
    images = {picture.file: content for picture, content in made}
    return _Found(msgspec.structs.replace(cell.about, pictures=pictures), images)
