"""A module that falls into two graphs: what is compiled once is found again in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.errors import Unavailable, Unsupported
from perfsuite.runtimes.torch_compile.made import read_made
from perfsuite.runtimes.torch_compile.runtime import TorchCompile

MANIFEST = Manifest(
    "torch-compile",
    "cpu",
    "fp32",
    1,
    (InputSpec("x", "float32", ("batch", 4)),),
    ("y",),
    False,
    False,
)
OPEN = """
import json, sys
from pathlib import Path
import numpy as np
from test_verify_torch_compile import MANIFEST, branching
from perfsuite.domain.runtime import SessionOptions
from perfsuite.runtimes.torch_compile.runtime import TorchCompile
with TorchCompile().open(Path(sys.argv[1]), MANIFEST, SessionOptions(1, 1, True, branching)) as one:
    outputs = one.run({"x": np.ones((1, 4), np.float32)})
    items = {item.name: item.value for item in one.evidence().items if item.about == "compiler"}
print(json.dumps([outputs[0].tolist(), items]))
"""

pytestmark = pytest.mark.verify


def branching() -> Any:
    import torch
    from torch import nn

    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            x = self.first(x)
            if float(x.sum()) > 1e9:
                x = x * 2
            return self.second(x)

    torch.manual_seed(0)
    return Branching().eval()


def test_what_it_compiles_nothing_of_is_no_cell_of_its_own(tmp_path: Path) -> None:
    import torch

    def scripted() -> Any:
        return torch.jit.script(torch.nn.Linear(4, 2).eval())

    def holding() -> Any:
        return torch.nn.Sequential(scripted()).eval()

    example = {"x": np.ones((1, 4), np.float32)}
    for build, words in ((scripted, "does not take TorchScript"), (holding, "compiled nothing of")):
        with pytest.raises(Unsupported, match=words):
            TorchCompile().build(Variant(None, build, False, example=example), MANIFEST, tmp_path)


def test_a_module_in_two_graphs_is_compiled_once_and_its_breaks_are_named(tmp_path: Path) -> None:
    import torch

    runtime = TorchCompile()
    try:
        runtime.require("cpu", "fp32")
    except Unavailable as error:
        pytest.skip(str(error))
    example = {"x": np.ones((1, 4), np.float32)}
    runtime.build(Variant(None, branching, False, example=example), MANIFEST, tmp_path)
    made = read_made(tmp_path)
    assert (made.graphs, made.calls) == (2, ())
    assert made.compile_s > 0 and sum(made.breaks.values()) > 0

    command = [sys.executable, "-c", OPEN, str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    assert done.returncode == 0, done.stderr
    (answer, items) = json.loads(done.stdout.splitlines()[-1])
    with torch.no_grad():
        assert np.allclose(answer, branching()(torch.ones(1, 4)).numpy(), atol=1e-6)
    assert items["cache"] == "hit: 2 of 2 graphs, nothing was compiled anew"
    assert items["form"].startswith("the module itself, as torch.export refuses it: ")
    assert "Tensor.item()" in items["graph breaks"]

    opened = runtime.open(tmp_path, MANIFEST, SessionOptions(1, 1, True, branching))
    with opened as session, pytest.raises(Unsupported, match="in 2 graphs with Python between"):
        session.profile([example], 1)
