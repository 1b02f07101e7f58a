"""BCCD: photographs of blood cells, 640x480, with boxes of three classes, in Pascal VOC layout.

The pictures do not come with perfsuite. They are looked for in the folder that `PERFSUITE_BCCD`
names, else in `bccd` among the data sets in `PERFSUITE_HOME`.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np

from perfsuite.data.annotations import Annotations
from perfsuite.data.samples import check_split
from perfsuite.data.voc import load_voc
from perfsuite.errors import Unavailable
from perfsuite.store.places import data_dir

CLASSES = ("RBC", "WBC", "Platelets")
CALIBRATION = 20  # pictures held out of the training list


def folder() -> Path:
    """Return the folder of the data set; raise `Unavailable` if it is missing."""
    given = os.environ.get("PERFSUITE_BCCD")
    path = Path(given) if given else data_dir("bccd")
    if not (path / "ImageSets" / "Main").is_dir():
        raise Unavailable(
            f"BCCD is not in {path}: fetch the data set (github.com/Shenggan/BCCD_Dataset, MIT; "
            "its folder BCCD) and set PERFSUITE_BCCD to the folder that holds JPEGImages, "
            "Annotations and ImageSets"
        )
    return path


@cache
def load(split: str) -> Annotations:
    """Return `train`, `calibration` or `test`; the three are disjoint.

    A seeded choice of `CALIBRATION` pictures of the list `train` is for calibration, the rest for
    training; the list `val` is for testing. Raises `Unavailable` without the data.
    """
    check_split(split)
    if split == "test":
        return load_voc(folder(), "val", CLASSES)
    whole = _training()
    order = np.random.default_rng(0).permutation(len(whole.pictures))
    chosen = {
        "calibration": order[:CALIBRATION],
        "train": np.sort(order[CALIBRATION:]),
    }[split]
    pictures = tuple(whole.pictures[index] for index in chosen)
    return Annotations(whole.classes, pictures, whole.skips)


@cache
def _training() -> Annotations:
    return load_voc(folder(), "train", CLASSES)
