"""The public names: sorted, documented, and loaded only when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import perfsuite

HEAVY = ("torch", "torchvision", "onnx", "onnxruntime", "openvino", "scipy", "sklearn")


def loaded(program: str, *names: str) -> list[str]:
    """Return which of the modules `names` are loaded after `program` ran in a fresh process."""
    shown = f"import sys; print(*[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{shown}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


def test_all_is_sorted_and_complete() -> None:
    assert list(perfsuite.__all__) == sorted(set(perfsuite.__all__))
    assert set(perfsuite.__all__) == set(perfsuite._HOME_OF)
    assert set(perfsuite.__all__) <= set(dir(perfsuite))


@pytest.mark.parametrize("name", perfsuite.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    value = getattr(perfsuite, name)
    assert value.__name__ == name
    assert value.__doc__ and value.__doc__.strip()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Modle'"):
        _ = perfsuite.Modle


def test_importing_loads_nothing() -> None:
    assert loaded("import perfsuite", "numpy", "msgspec", "click", "rich", *HEAVY) == []


def test_using_every_name_loads_no_engine() -> None:
    program = "import perfsuite\nfor name in perfsuite.__all__: getattr(perfsuite, name)"
    assert loaded(program, *HEAVY) == []


def test_the_contract_loads_no_engine_until_it_is_used() -> None:
    assert loaded("import perfsuite.testing", *HEAVY) == []
