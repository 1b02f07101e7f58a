"""Files of scikit-learn are read without importing it, which each job would have to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from perfsuite.data import digits, photographs, sklearn_files
from perfsuite.errors import Unavailable

pytest.importorskip("sklearn")
LOOK = """
import sys
from perfsuite.data import digits
digits.load("test")
from perfsuite.data.photographs import photographs
photographs()
print(sorted({name.partition(".")[0] for name in sys.modules} & {"sklearn", "scipy", "joblib"}))
"""


def test_neither_digits_nor_photographs_import_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def nowhere(name: str, whose: str) -> Path:
    return Path("/nowhere") / name


def test_where_it_keeps_its_files_elsewhere_it_loads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    read = digits.load("train"), photographs.photographs()
    photographs.photographs.cache_clear()
    monkeypatch.setattr(digits, "sklearn_file", nowhere)
    monkeypatch.setattr(photographs, "sklearn_file", nowhere)
    loaded = digits.load("train"), photographs.photographs()
    photographs.photographs.cache_clear()
    assert np.array_equal(read[0].images, loaded[0].images)
    assert np.array_equal(read[0].labels, loaded[0].labels)
    assert np.array_equal(read[1], loaded[1])
    assert read[1].shape == (2, 427, 640, 3) and read[1].dtype == np.uint8


def test_without_it_the_data_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sklearn_files, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="digits: scikit-learn is missing; pip install"):
        digits.load("train")
    photographs.photographs.cache_clear()
    with pytest.raises(Unavailable, match="photographs: scikit-learn is missing"):
        photographs.photographs()
