"""The program `python -m perfsuite.runner.plain_process`: NumPy and no engine, and what shows.

It prints the evidence as JSON.
"""

from __future__ import annotations

import sys

import msgspec
import numpy as np

from perfsuite.domain.record import Evidence
from perfsuite.libraries.table import loaded


def main() -> None:
    """Let NumPy multiply matrices, which loads its BLAS, and print what is loaded then."""
    square = np.ones((64, 64), np.float32)
    if not np.all(square @ square == len(square)):
        raise ArithmeticError("NumPy's matrix product is wrong")
    sys.stdout.write(msgspec.json.encode(Evidence(loaded())).decode())


if __name__ == "__main__":
    main()
