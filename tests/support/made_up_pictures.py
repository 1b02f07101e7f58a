"""Made-up pictures for a stored run: words, boxes, and where words were looked for."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from perfsuite.domain.pictures import Box, Look, Picture, Pictures, Said
from perfsuite.store.pictures import name_of_image, write_pictures
from perfsuite.store.runs import load_run


def add_pictures(run: Path, told: Callable[[str], str] = str) -> None:
    """Give each of the run's cells that answered a picture of each kind.

    `told` makes the texts on the page of the made-up ones.
    """
    file = io.BytesIO()
    Image.new("RGB", (20, 10), "teal").save(file, "PNG")
    image = file.getvalue()
    name = name_of_image(image, "png")
    kinds = (
        Said(words=told("a tabby cat")),
        Said(boxes=(Box(0.1, 0.1, 0.6, 0.9, told("a red blood cell"), 0.9),)),
        Said(looks=(Look(told("a looked-for word"), (0, 255, 128, 3), 2),)),
    )
    shown = tuple(Picture(place, name, 20, 10, one, one, one) for place, one in enumerate(kinds))
    for record in load_run(run).records.values():
        if record.accuracy is not None:
            cell, note = record.cell, told("the note on pictures")
            found = Pictures(1, cell.id, cell.key, samples=3, pictures=shown, note=note)
            write_pictures(run, found, {name: image})
