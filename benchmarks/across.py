"""INT8 here and on processors without VNNI: accuracy there, and what the portable form costs.

    python benchmarks/across.py [WORKLOAD ...] [--minutes 10]

By default of ResNet-20 (`resnet_cifar10.py:resnet20`). OpenVINO answers with oneDNN capped, ONNX
Runtime on a Haswell that QEMU emulates (Debian: apt-get install qemu-user, from 7.2 on). As many
test samples are answered as fit into `--minutes` there. Prints the tables as Markdown.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from perfsuite.across_run import across
from perfsuite.errors import PerfsuiteError
from perfsuite.report.formats.markdown import escape, markdown_table
from perfsuite.report.tables import across as tables

RESNET20 = f"{Path(__file__).with_name('resnet_cifar10.py')}:resnet20"


def told(text: str) -> None:
    """Print a line of progress."""
    print(text, file=sys.stderr)


def main() -> None:
    """Let each workload answer, and print its table and sentences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=[RESNET20], metavar="WORKLOAD")
    parser.add_argument("--minutes", type=float, default=10.0, help="of answering elsewhere")
    given = parser.parse_args()
    for workload in given.workloads:
        try:
            found = across(workload, minutes=given.minutes, say=told)
        except PerfsuiteError as error:
            raise SystemExit(f"{workload}: {error}") from error
        machine = found.run.header.environment.must_match
        print(f"## {found.run.header.suite.name} ({escape(machine.processor)})\n")
        print(markdown_table(tables.COLUMNS, tables.lines(found.run)))
        for sentence in tables.sentences(found.run):
            print(f"\n{escape(sentence)}")
        print(f"\nkept in {found.folder}")


if __name__ == "__main__":
    main()
