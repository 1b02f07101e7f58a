"""The program `python -m perfsuite.runner.plain_process`: NumPy and no engine, and what shows.

It prints the evidence as JSON, with what is wrong in the machine and with NumPy.
"""

from __future__ import annotations

import sys

import msgspec
import numpy as np

from perfsuite.domain.record import Evidence
from perfsuite.libraries.facts import Facts
from perfsuite.libraries.findings import findings
from perfsuite.libraries.table import loaded
from perfsuite.measure.environment import environment
from perfsuite.measure.meters.nvml import disturbances


def main() -> None:
    """Let NumPy multiply matrices, which loads its BLAS, and print what is loaded then."""
    square = np.ones((64, 64), np.float32)
    if not np.all(square @ square == len(square)):
        raise ArithmeticError("NumPy's matrix product is wrong")
    evidence = Evidence((*loaded(), *disturbances()))
    found = findings(Facts(evidence, environment()))
    evidence = msgspec.structs.replace(evidence, findings=found)
    sys.stdout.write(msgspec.json.encode(evidence).decode())


if __name__ == "__main__":
    main()
