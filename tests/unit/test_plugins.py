"""Plug-ins are found by name, by entry point or in a file, and every miss says what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from perfsuite import plugins
from perfsuite.errors import ConfigError, Unavailable

TABLE = {"int8": lambda: "the int8 pass", "prune": lambda: "the prune pass"}


@pytest.fixture(autouse=True)
def clean_imports() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith(("perfsuite_plugin_", "neighbour")):
            del sys.modules[name]


def file(tmp_path: Path, text: str, name: str = "mine.py") -> str:
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def test_suggestions() -> None:
    assert plugins.suggestion("int9", TABLE) == "; did you mean 'int8'?"
    assert plugins.suggestion("zzz", TABLE) == "; known: int8, prune"
    assert plugins.suggestion("zzz", {}) == "; known: none"


def test_a_table_name_is_called(tmp_path: Path) -> None:
    assert plugins.load("pass", "int8", TABLE) == "the int8 pass"
    plugins.check_exists("pass", "int8", TABLE)


@pytest.mark.parametrize("look", [plugins.load, plugins.check_exists])
def test_an_unknown_name_gets_a_suggestion(look: object) -> None:
    with pytest.raises(ConfigError) as caught:
        look("pass", "int88", TABLE)  # type: ignore[operator]
    assert str(caught.value) == (
        "unknown pass 'int88'; did you mean 'int8'? (your own: file.py:name)"
    )


def test_entry_points_are_found_after_the_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file(tmp_path, "thing = 3\nraise_ = 1\n", "neighbour_package.py")
    file(tmp_path, "1 / 0\n", "neighbour_broken.py")
    group = "perfsuite.passes"
    points = [
        EntryPoint("theirs", "neighbour_package:thing", group),
        EntryPoint("int8", "neighbour_package:thing", group),
        EntryPoint("broken", "neighbour_broken:thing", group),
    ]
    monkeypatch.setattr(
        plugins, "entry_points", lambda group: [p for p in points if p.group == group]
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert plugins.names("pass", TABLE) == ["broken", "int8", "prune", "theirs"]
    assert plugins.load("pass", "theirs", TABLE) == 3
    assert plugins.load("pass", "int8", TABLE) == "the int8 pass"
    plugins.check_exists("pass", "broken", TABLE)  # it exists, and is not imported to say so
    with pytest.raises(ConfigError, match=r"'broken': importing .* failed .*with ZeroDivision"):
        plugins.load("pass", "broken", TABLE)


def test_a_file_is_run_once(tmp_path: Path) -> None:
    reference = file(tmp_path, "thing = object()\n") + ":thing"
    assert plugins.load("workload", reference, {}) is plugins.load("workload", reference, {})


@pytest.mark.parametrize("look", [plugins.load, plugins.check_exists])
def test_a_missing_file_or_name_is_refused(look: object, tmp_path: Path) -> None:
    path = file(tmp_path, "def resnet(): ...\n_hidden = 1\n")
    with pytest.raises(ConfigError, match=r"there is no file .*gone\.py"):
        look("workload", f"{tmp_path}/gone.py:x", {})  # type: ignore[operator]
    with pytest.raises(ConfigError, match="has no 'resnt'; did you mean 'resnet'"):
        look("workload", f"{path}:resnt", {})  # type: ignore[operator]


def test_existence_is_checked_without_running_the_file(tmp_path: Path) -> None:
    path = file(
        tmp_path,
        """
raise SystemExit("never run")
import os.path, json as js
from math import pi as tau
def function(): inner = 1
class Class: attribute = 1
(a, [b, *c]) = d = range(3)
e: int = 1
if a:
    deep = [hidden for hidden in c]
    def nested(): local = 1
else:
    try: other = 1
    except ValueError: caught = lambda: (lost := 1)
    finally: last = 1
with open("x") as handle: pass
for turn in c: pass
match a:
    case 1: matched = 1
""",
    )
    imported = ["os", "js", "tau"]
    assigned = ["a", "b", "c", "d", "e", "deep", "other", "caught", "last", "matched"]
    for name in [*imported, *assigned, "function", "Class", "nested", "handle", "turn"]:
        plugins.check_exists("workload", f"{path}:{name}", {})
    for name in ["json", "pi", "inner", "attribute", "hidden", "local", "lost", "path"]:
        with pytest.raises(ConfigError, match=f"has no '{name}'"):
            plugins.check_exists("workload", f"{path}:{name}", {})


@pytest.mark.parametrize("text", ["from math import *", "def __getattr__(name): return 1"])
def test_names_that_only_running_would_show_are_let_through(text: str, tmp_path: Path) -> None:
    plugins.check_exists("workload", file(tmp_path, text) + ":anything", {})


def test_a_file_that_is_no_python_is_refused(tmp_path: Path) -> None:
    reference = file(tmp_path, "x = 1\ndef f(:\n") + ":x"
    with pytest.raises(ConfigError, match=r"not valid Python: .*line 2"):
        plugins.check_exists("workload", reference, {})
    with pytest.raises(ConfigError, match=r"failed in line 2 of .* with SyntaxError"):
        plugins.load("workload", reference, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n\n1 / 0\n", "failed in line 3 of .* with ZeroDivisionError: division by zero"),
        ("import nothing_like_it\nx = 1\n", "failed in line 1 of .* with ModuleNotFoundError"),
        ("import sys\nsys.exit(3)\nx = 1\n", "failed in line 2 of .* with SystemExit: 3"),
        (
            "import sys\nsys.path.clear()\nraise OSError('no')\n",
            "failed in line 3 of .* OSError",
        ),
    ],
)
def test_what_a_file_raises_is_told_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    reference = file(tmp_path, text) + ":x"
    for _ in range(2):  # a failed import leaves nothing behind that would pass the second time
        with pytest.raises(ConfigError, match=message):
            plugins.load("workload", reference, {})


def test_errors_of_perfsuite_keep_their_kind(tmp_path: Path) -> None:
    text = "from perfsuite.errors import Unavailable\nraise Unavailable('get it there')\n"
    with pytest.raises(Unavailable, match=r"^get it there$"):
        plugins.load("runtime", file(tmp_path, text) + ":x", {})


def test_neighbours_are_importable_at_once_and_later(tmp_path: Path) -> None:
    file(tmp_path, "value = 1\n", "neighbour_a.py")
    file(tmp_path, "value = 2\n", "neighbour_b.py")
    path = file(
        tmp_path,
        "from neighbour_a import value\n"
        "def late():\n    from neighbour_b import value\n    return value\n",
    )
    assert plugins.load("workload", f"{path}:value", {}) == 1
    assert plugins.load("workload", f"{path}:late", {})() == 2
    assert sys.path[-1] == str(tmp_path)  # what is installed wins over a user's folder


def test_the_digest_covers_the_neighbours_that_are_imported(tmp_path: Path) -> None:
    assert plugins.source_digest("pass", "int8").startswith("perfsuite ")
    reference = file(tmp_path, "import torch\ndef build():\n    import near\n") + ":build"
    file(tmp_path, "from pack.deep import x\n", "near.py")
    file(tmp_path, "", "stranger.py")
    (tmp_path / "pack").mkdir()
    file(tmp_path / "pack", "", "deep.py")
    seen = {plugins.source_digest("workload", reference)}
    assert plugins.source_digest("workload", reference) in seen
    file(tmp_path, "# unrelated", "stranger.py")
    assert plugins.source_digest("workload", reference) in seen
    for folder, name in ((tmp_path, "near.py"), (tmp_path / "pack", "deep.py")):
        (folder / name).write_text((folder / name).read_text() + "# changed")
        assert plugins.source_digest("workload", reference) not in seen
        seen.add(plugins.source_digest("workload", reference))
    with pytest.raises(ConfigError, match="there is no file"):
        plugins.source_digest("workload", f"{tmp_path}/gone.py:x")


def test_the_digest_tells_the_names_of_one_file_apart(tmp_path: Path) -> None:
    path = file(tmp_path, "small = large = None\n")
    small, large = (plugins.source_digest("workload", f"{path}:{n}") for n in ("small", "large"))
    assert small != large


def test_the_digest_of_an_installed_package_covers_its_version_and_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    facts = tmp_path / "digested-1.0.dist-info"
    facts.mkdir()
    (facts / "entry_points.txt").write_text("[perfsuite.workloads]\ndigested = digested:net\n")
    seen = set()
    for version, source in (("1.0", "net = 1\n"), ("1.0", "net = 2\n"), ("2.0", "net = 2\n")):
        (facts / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: digested\nVersion: {version}\n"
        )
        (tmp_path / "digested.py").write_text(source)
        seen.add(plugins.source_digest("workload", "digested"))
    assert len(seen) == 3


def test_the_digest_is_the_same_in_another_folder(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        file(tmp_path / name, "import near\n", "near.py")  # imports itself: must end
        digests.add(
            plugins.source_digest("workload", file(tmp_path / name, "import near\n") + ":x")
        )
    assert len(digests) == 1


def test_what_a_file_imports_first_is_known_without_running_it(tmp_path: Path) -> None:
    text = """'What it is.'
from __future__ import annotations
import os.path, beside, package.inner
from email.message import Message
from . import neighbour
if later:
    import wave
def build():
    import colorsys
raise RuntimeError("it is run")
"""
    (tmp_path / "beside.py").write_text("import perfsuite\n")
    (tmp_path / "package").mkdir()
    reference = f"{file(tmp_path, text)}:net"
    assert plugins.libraries_of_file(reference) == ("email.message", "os.path")
    assert plugins.names_beside(reference) == {"beside", "mine", "package"}
    (tmp_path / "beside.py").write_text("from torch import nn\n")
    assert plugins.libraries_of_file(reference) == ("email.message", "os.path", "torch")


def test_of_a_file_that_cannot_be_parsed_nothing_is_known_to_be_imported(tmp_path: Path) -> None:
    assert plugins.libraries_of_file(f"{file(tmp_path, 'import (')}:net") == ()
    assert plugins.libraries_of_file(f"{tmp_path}/not/there.py:net") == ()
    assert plugins.names_beside(f"{tmp_path}/not/there.py:net") == set()


@pytest.mark.parametrize(
    "text",
    [
        "import wave\nwave.setup()\nimport colorsys, torch\n",
        "import wave\nx = 1\ndef build():\n    import torch\n",
        "import wave\nwave.setup()\nimport beside\n",
    ],
)
def test_what_is_imported_after_something_was_done_is_not_imported_beforehand(
    text: str, tmp_path: Path
) -> None:
    (tmp_path / "beside.py").write_text("import torch\n")
    assert plugins.libraries_of_file(f"{file(tmp_path, text)}:net") == ("wave",)


@pytest.mark.parametrize(
    ("text", "configures"),
    [
        ("import os\nos.environ['HF_HOME'] = '/x'\nimport wave\n", True),
        ("import os\nif True:\n    os.environ.setdefault('A', '1')\n", True),
        ("import os\ntry:\n    os.putenv('A', '1')\nfinally:\n    pass\n", True),
        ("import sys\nsys.path.insert(0, 'vendor')\n", True),
        ("from os import environ\n", True),
        ("import os\nclass A:\n    os.environ['A'] = '1'\n", True),
        ("import os, sys\ndef f():\n    os.environ['A'] = sys.path[0]\n", False),
        ("import os.path\nhere = os.path.dirname(__file__) or os.getenv('A')\n", False),
        ("import (", False),
    ],
)
def test_whether_a_file_configures_what_it_imports(
    text: str, configures: bool, tmp_path: Path
) -> None:
    reference = f"{file(tmp_path, text)}:net"
    assert plugins.configures_process(reference) is configures
    beside = f"{file(tmp_path, 'import mine', 'other.py')}:net"
    assert plugins.configures_process(beside) is configures


def test_a_file_alone_names_nothing_of_it() -> None:
    with pytest.raises(ConfigError, match=r"'mine\.py' is a file; .*: mine\.py:name"):
        plugins.check_exists("workload", "mine.py", TABLE)
