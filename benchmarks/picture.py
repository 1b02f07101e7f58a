"""Draw what `perfsuite show RUN` prints as an SVG, for a page that shows it.

python benchmarks/picture.py reports/demo benchmarks/demo.svg
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console

from perfsuite import api
from perfsuite.errors import PerfsuiteError
from perfsuite.report import print_run

WIDTH = 112


def main(folder: str, target: str) -> int:
    """Write the picture and return the exit code."""
    console = Console(record=True, width=WIDTH, force_terminal=True, file=io.StringIO())
    try:
        run, judgement = api.show(Path(folder))
    except PerfsuiteError as error:
        print(error, file=sys.stderr)
        return 2
    print_run(console, run, judgement)
    svg = console.export_svg(title=f"perfsuite show {folder}")
    # The picture must not fetch a font from anywhere: viewers have a monospaced one.
    Path(target).write_text(re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
