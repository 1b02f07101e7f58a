"""What each library is worth to large nets on this processor, measured by turning it off.

    python benchmarks/ablation.py vgg16 resnet101 faster-rcnn -o reports/ablation

Each net is a run of its own in that folder, which `perfsuite show` shows again; the tables are
printed as Markdown. Weights are random: kernels are chosen by shapes, not by values. Caps that
float kernels do not notice are left out; of the detector, whose calls take a second, so are all but
a few. `--minutes` are those of measuring: after three rounds, which are always measured, no other
begins when they are over. Preparing the net and looking at what ran come to that.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

import perfsuite
from perfsuite.report.progress.follow import FollowRun

OFTEN = ("onednn-off", "onednn-avx2", "channels-last", "one-thread", "unoptimized")
ALL = (*OFTEN, "onednn-sse41", "mkl-avx2", "mkl-compatible", "aten-avx2")
NETS = {
    "vgg16": ("torchvision:vgg16", ALL),
    "resnet101": ("torchvision:resnet101", ALL),
    "faster-rcnn": ("faster-rcnn-resnet101", OFTEN),
}
RUNTIMES = ("pytorch", "onnxruntime", "openvino")
MINUTES = 5.0


def main() -> None:
    """Measure the nets that are named, and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("nets", nargs="+", choices=sorted(NETS))
    parser.add_argument("-o", "--output", type=Path, default=Path("reports/ablation"))
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of measuring, each net")
    parser.add_argument("--resume", action="store_true", help="go on with runs that were cut short")
    given = parser.parse_args()
    for name in given.nets:
        workload, switches = NETS[name]
        folder = given.output / name
        follow = FollowRun(Console(stderr=True))
        try:
            judged = perfsuite.ablate(
                workload,
                folder,
                runtimes=RUNTIMES,
                switches=switches,
                minutes=given.minutes,
                resume=given.resume and folder.exists(),
                observe=follow,
            )
        finally:
            follow.close()
        print(judged.report("md"), flush=True)


if __name__ == "__main__":
    main()
