"""Every family of torchvision's nets: prune finds groups that were tried out, or says why not."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.verify

FILE = Path(__file__).parents[2] / "benchmarks" / "prune_coverage.py"


def script() -> Any:
    spec = importlib.util.spec_from_file_location("prune_coverage", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


COVERAGE = script()
NETS = [
    *(*COVERAGE.CLASSIFIERS, *COVERAGE.SEGMENTERS),
    *(*COVERAGE.DETECTORS, *COVERAGE.VIDEO),
]


@pytest.mark.parametrize("name", NETS)
def test_most_of_a_net_can_be_pruned(name: str) -> None:
    _, parameters, macs, groups, why = COVERAGE.row(name)
    assert int(groups) > 0, why
    assert float(macs.rstrip("%")) >= 70.0, why  # a transformer's trunk stays
    assert float(parameters.rstrip("%")) >= 50.0, why  # GoogLeNet's heads of training stay
    assert "answers otherwise" not in why
