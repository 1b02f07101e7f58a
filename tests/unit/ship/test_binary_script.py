"""The script that is shipped with a binary net, whose engine are perfsuite's own kernels."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from binary_graphs import vgg
from binary_sessions import answers, built, pictures

from perfsuite.ship import script
from perfsuite.ship.shipping import ENGINES


def test_it_answers_as_the_runtime_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "perfsuite-binary" in ENGINES
    model = vgg((4, 8, "M", 8), side=8)
    manifest = json.loads(msgspec.json.encode(built(model, tmp_path / "artifact")))
    monkeypatch.setattr(script, "ARTIFACT", tmp_path / "artifact")
    monkeypatch.setattr(script, "SETTINGS", {"versions": {"perfsuite[binary]": "1"}})
    x = pictures(model, 3)
    (found,) = script.started(manifest, 3, 1)({"x": x})
    assert np.array_equal(found, answers(model, x))


def test_without_perfsuite_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "perfsuite.runtimes.binary.runtime", None)
    monkeypatch.setattr(script, "SETTINGS", {"versions": {"perfsuite[binary]": "1"}})
    with pytest.raises(SystemExit, match=r"pip install perfsuite\[binary\]==1"):
        script.started({"runtime": "perfsuite-binary"}, 1, 1)
