"""The door to a user's code: whose it was, where it failed, and with what."""

from __future__ import annotations

import importlib.util
import sysconfig
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from perfsuite import user_code as door
from perfsuite.errors import BuildError, ConfigError, PerfsuiteError, Unsupported
from perfsuite.user_code import (
    require_type,
    trace_of_others,
    user_code,
    user_items,
    what_failed,
)


def module(folder: Path, text: str, name: str = "mine.py") -> ModuleType:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    spec = importlib.util.spec_from_file_location("of_a_user", folder / name)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("assert False", "AssertionError: assert False"),
        ("raise ValueError", "ValueError: raise ValueError"),
        ("raise ValueError('  ')", "ValueError: raise ValueError('  ')"),
        ("raise ValueError('odd')", "ValueError: odd"),
        ("import sys; sys.exit()", "SystemExit: import sys; sys.exit()"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("next(iter(()))", "StopIteration: next(iter(()))"),
        ("raise type('Own', (BaseException,), {})", "Own: raise type('Own', (BaseException,), {})"),
        (
            "raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})",
            "Mute: (its __str__ failed with ZeroDivisionError)",
        ),
    ],
)
def test_whose_where_and_what(tmp_path: Path, line: str, words: str) -> None:
    made = module(tmp_path, f"def rows():\n    {line}\n")
    with pytest.raises(BuildError) as caught, user_code("net: its rows()"):
        made.rows()
    file = tmp_path / "mine.py"
    assert str(caught.value) == f"net: its rows() failed in line 2 of {file} with {words}"
    assert caught.value.__cause__ is not None


def test_the_place_is_in_the_user_s_file_not_in_the_library_that_it_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = module(tmp_path, "import numpy as np\n\ndef rows():\n    np.stack([])\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught, user_code("net: its rows()", ConfigError):
        made.rows()
    assert str(caught.value) == (
        "net: its rows() failed in line 4 of mine.py with ValueError: "
        "need at least one array to stack"
    )


def test_an_installed_package_that_offers_plug_ins_is_a_user_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "_libraries", lambda: {tmp_path})
    mine = module(tmp_path / "offering", "def rows():\n    assert False\n")
    points = EntryPoints([EntryPoint("x", "offering.mine:rows", "perfsuite.workloads")])
    monkeypatch.setattr(door, "entry_points", lambda: EntryPoints())
    with pytest.raises(BuildError, match=r"^x failed in line 83 of tests/"), user_code("x"):
        mine.rows()
    monkeypatch.setattr(door, "entry_points", lambda: points)
    with pytest.raises(BuildError, match=r"^x failed in line 2 of .*mine.py"), user_code("x"):
        mine.rows()


def test_libraries_are_those_of_python_and_installed_ones() -> None:
    assert {Path(sysconfig.get_path("stdlib")), Path(np.__file__).parents[1]} <= door._libraries()


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt(), Unsupported("no")])
def test_what_passes_as_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, user_code("net: its rows()"):
        raise error
    assert caught.value is error


def test_an_error_of_perfsuite_s_without_a_word_is_told(tmp_path: Path) -> None:
    text = "from perfsuite import Unsupported\nclass Own(Unsupported): ...\ndef rows(): raise Own\n"
    made = module(tmp_path, text)
    with pytest.raises(PerfsuiteError) as caught, user_code("net: its rows()"):
        made.rows()
    assert type(caught.value) is Unsupported
    assert str(caught.value).endswith("mine.py with Own: def rows(): raise Own")


def test_items_are_yielded_and_what_fails_between_them_is_told() -> None:
    def given() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("no third")

    items = user_items("net: its calibration()", given)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(BuildError, match=r"calibration\(\) failed in .* with ValueError: no third"):
        next(items)
    assert list(user_items("x", lambda: iter([3]))) == [3]
    with pytest.raises(BuildError, match="x failed with TypeError: 'int' object is not iterable"):
        list(user_items("x", lambda: 3))  # type: ignore[arg-type,return-value]


def test_whoever_takes_the_items_fails_by_itself() -> None:
    with pytest.raises(ZeroDivisionError):
        for _ in user_items("x", lambda: [1]):
            1 / 0  # noqa: B018


def test_a_failure_is_never_told_in_no_words() -> None:
    assert what_failed(ValueError("odd")) == "ValueError: odd"
    assert what_failed(ValueError()) == "ValueError"
    try:
        raise ValueError
    except ValueError as error:
        assert what_failed(error) == "ValueError: raise ValueError"


def test_types_are_asked_for() -> None:
    assert require_type(3, int, "x", "a whole number") == 3
    for value, kind in ((None, "None"), ("3", "str"), (int, "the class int")):
        with pytest.raises(ConfigError, match=f"^x must give a whole number, not {kind}$"):
            require_type(value, int, "x", "a whole number")


def test_a_trace_has_no_frames_of_perfsuite_s_own(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        list(user_items("net: its calibration()", lambda: module(tmp_path, "1 / 0")))
    told = trace_of_others(caught.value)
    assert f'File "{tmp_path / "mine.py"}", line 1, in <module>' in told
    assert told.endswith("ZeroDivisionError: division by zero\n")
    assert str(door._OURS) not in told and "BuildError" not in told


def test_a_trace_begins_with_what_nobody_of_perfsuite_s_raised(tmp_path: Path) -> None:
    code = module(tmp_path, "def rows():\n    raise KeyError('a') from ValueError('b')\n")
    with pytest.raises(BuildError) as caught, user_code("net: its rows()"):
        code.rows()
    outer = BuildError("with a hint")
    outer.__cause__ = caught.value
    for error in (caught.value, outer):
        told = trace_of_others(error)
        assert told.startswith("ValueError: b\n\nThe above exception was the direct cause")
        assert "line 2, in rows" in told and told.endswith("KeyError: 'a'\n")


def test_where_only_perfsuite_s_own_frames_are_there_is_no_trace() -> None:
    with pytest.raises(ConfigError) as caught:
        require_type(1, str, "net: its name", "a text")
    refused = caught.value
    refused.__traceback__ = refused.__traceback__.tb_next if refused.__traceback__ else None
    error = BuildError("net cannot be built")
    assert trace_of_others(error) == ""
    error.__cause__ = refused
    assert trace_of_others(error) == ""
