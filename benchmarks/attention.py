"""Where `show-attend-tell` looks while it names what it sees: a picture a scene.

python benchmarks/attention.py attention.png            # two test scenes
python benchmarks/attention.py attention.png mine.jpg   # a picture of your own
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from perfsuite.data import scenes
from perfsuite.data.images import cropped, normalized
from perfsuite.models.captions import SIDE
from perfsuite.runner.build.pictures import read_picture
from perfsuite.runner.build.reference import module_outputs
from perfsuite.workloads.zoo.captions import drawn_attention, show_attend_tell, spoken

SCENES = (3, 8)  # of the test set


def main() -> None:
    """Write one strip a picture, below each other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("pictures", type=Path, nargs="*", help="by default two test scenes")
    given = parser.parse_args()
    from PIL import Image

    workload = show_attend_tell()
    assert workload.model.build is not None
    module = workload.model.build()
    pictures = [cropped(read_picture(path), SIDE, SIDE) for path in given.pictures]
    if not pictures:
        pictures = [scenes.paint(scenes.PAIR, "test", n, scenes.pair("test", n)) for n in SCENES]
    strips = []
    for picture in pictures:
        scores, attention = module_outputs(module, {"images": normalized(picture[None])})
        said = spoken(scores[0])
        print(" ".join(said))
        strips.append(drawn_attention(picture, said, attention[0]))
    width = max(strip.shape[1] for strip in strips)
    padded = [
        np.pad(one, ((0, 0), (0, width - one.shape[1]), (0, 0)), constant_values=255)
        for one in strips
    ]
    Image.fromarray(np.concatenate(padded)).save(given.output)


if __name__ == "__main__":
    main()
