"""INT8 on an emulated processor: sums overflow there, and those of the portable form do not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import overflowing_net
import pytest
from overflowing_net import project

from perfsuite.across_run import across
from perfsuite.judge.across import elsewhere, portable_costs
from perfsuite.libraries.vectors import has_vnni
from perfsuite.processor import read_processor

pytestmark = pytest.mark.verify


def emulates_avx2() -> bool:
    """Tell whether QEMU is there, and new enough: 7.2 is the first version with AVX2."""
    command = shutil.which("qemu-x86_64")
    if command is None:
        return False
    told = subprocess.run([command, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"version (\d+)\.(\d+)", told)
    return found is not None and tuple(map(int, found.groups())) >= (7, 2)


@pytest.mark.skipif(not emulates_avx2(), reason="no QEMU that emulates AVX2 (apt: qemu-user)")
@pytest.mark.skipif(not has_vnni(read_processor().flags), reason="weights have 7 bits here anyway")
def test_both_runtimes_lose_what_the_portable_form_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    support = str(Path(overflowing_net.__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([support, os.environ.get("PYTHONPATH", "")]))
    found = across(project(tmp_path), tmp_path / "run", threads=1, minutes=0.2)
    assert found.exit_code == 0, found.judgement
    native = [one for one in elsewhere(found.run) if not one.is_portable]
    portable = [one for one in elsewhere(found.run) if one.is_portable]
    assert len(native) == len(portable) == 3
    for one in native:
        assert one.loses and one.there is not None and one.there < 0.5, one
    for one in portable:
        assert one.lost is not None and one.lost.value == 0.0, one
    assert [one.runtime for one in portable_costs(found.run)] == ["openvino", "onnxruntime"]
    assert all(one.time is not None for one in portable_costs(found.run))
