"""Imports point down only."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ENGINES = {
    "torch", "torchvision", "onnx", "onnxruntime", "openvino", "onnxscript",
    "scipy", "sklearn", "PIL", "safetensors",
}  # fmt: skip


def test_the_layers_hold(root: Path) -> None:
    command = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("import-linter is not installed; pip install -e '.[dev]'")
    done = subprocess.run(
        [command, "--no-cache"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_engines_are_imported_inside_functions(root: Path) -> None:
    guilty = []
    for path in sorted((root / "perfsuite").rglob("*.py")):
        if "templates" in path.parts:
            continue  # a user's file
        tree = ast.parse(path.read_text())
        for node in tree.body:  # what stands under `if TYPE_CHECKING` is deeper
            modules = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            if ENGINES & {module.partition(".")[0] for module in modules}:
                guilty.append(f"{path.relative_to(root)}:{node.lineno}")
    assert guilty == []
