"""Files inside the scikit-learn package, found without importing it.

Its import takes longer than most of what is done with them, and each job is a process of its own.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from perfsuite.errors import Unavailable


def sklearn_file(name: str, whose: str) -> Path:
    """Return the path of the file `name` in the folder of scikit-learn's data sets.

    It need not be there in every version. Raises `Unavailable`, which names the data set `whose`,
    without scikit-learn.
    """
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise Unavailable(f"{whose}: scikit-learn is missing; pip install 'perfsuite[run]'")
    return Path(spec.origin).parent / "datasets" / name
