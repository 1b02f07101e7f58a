"""Print the folder of a cell's artifact, for tools that look at one.

python benchmarks/artifact.py reports/demo 'resnet56/fp32/openvino/*'
"""

from __future__ import annotations

import sys

from perfsuite import api
from perfsuite.config.expansion import match
from perfsuite.errors import PerfsuiteError
from perfsuite.store.cache import Cache


def main(folder: str, pattern: str) -> int:
    """Print the first matching cell's artifact folder, and return the exit code."""
    try:
        run = api.show(folder).run
    except PerfsuiteError as error:
        print(error, file=sys.stderr)
        return 2
    for record in run.records.values():
        if match(pattern, record.cell.key) and record.artifact:
            found = Cache().get("artifact", record.artifact)
            if found is not None:
                print(found)
                return 0
    print(f"{folder}: no cell matches {pattern}, or its artifact left the cache", file=sys.stderr)
    return 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
