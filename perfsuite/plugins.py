"""One loader for workloads, passes and runtimes: a name of a table, an entry point, `file.py:name`.

Nothing else is ever imported on a user's word.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any

from perfsuite import __version__
from perfsuite.errors import ConfigError
from perfsuite.user_code import user_code

# The entry points under which an installed package offers plug-ins, by kind.
GROUPS = {
    "workload": "perfsuite.workloads",
    "pass": "perfsuite.passes",
    "runtime": "perfsuite.runtimes",
    "meter": "perfsuite.meters",
    "format": "perfsuite.formats",
    "library": "perfsuite.libraries",
    "student": "perfsuite.students",
}
# What a reference may be beside a name and a file of Python.
_MORE = {"workload": ", net.onnx; without a file: torchvision:NAME, timm:NAME"}
_LISTED = 24  # words in a message
_OURS = {"perfsuite"}  # identified by its version, even if a user's file lies beside its sources
_importing: list[Path] = []  # files of plug-ins that are being imported, the innermost last
# Where a process keeps what libraries read when they are imported.
_SETTINGS = {("os", "environ"), ("os", "putenv"), ("os", "unsetenv"), ("sys", "path")}
_ANY = "*"  # stands for names of a file that are only known after running it


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest known word, or the list of the known ones."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"; known: {', '.join(names[:_LISTED]) or 'none'}{more}"


def names(kind: str, table: Mapping[str, Any]) -> list[str]:
    """Return the names that `load` knows for `kind`: the table's, then those of entry points."""
    return sorted({*table, *(point.name for point in entry_points(group=GROUPS[kind]))})


def load(kind: str, reference: str, table: Mapping[str, Callable[[], Any]]) -> Any:
    """Return the plug-in that `reference` names.

    `kind` is `workload`, `pass` or `runtime`. A table's entries are functions without arguments
    that return the plug-in; what a file or an entry point names is returned as it is. Raises
    `ConfigError` for what cannot be found or imported.
    """
    if reference in table:
        return table[reference]()
    if ".py:" in reference:
        return _from_file(kind, reference)
    for point in entry_points(group=GROUPS[kind]):
        if point.name == reference:
            with user_code(f"{kind} '{reference}': importing {point.value}", ConfigError):
                return point.load()
    raise _unknown(kind, reference, table)


def check_exists(kind: str, reference: str, table: Mapping[str, Any]) -> None:
    """Raise `ConfigError` unless `load` would find `reference`; no plug-in is imported for it.

    A file is parsed, not run.
    """
    if reference in table:
        return
    if ".py:" not in reference:
        if reference not in names(kind, table):
            raise _unknown(kind, reference, table)
        return
    file, _, name = reference.rpartition(":")
    path = _file(kind, reference)
    try:
        found = _bound(ast.parse(path.read_bytes(), file))
    except OSError as error:
        raise ConfigError(f"{kind} '{reference}': {file} cannot be read: {error}") from error
    except (SyntaxError, ValueError, RecursionError) as error:
        raise ConfigError(f"{kind} '{reference}': {file} is not valid Python: {error}") from error
    if name not in found and not found & {_ANY, "__getattr__"}:
        raise _nameless(kind, reference, found)


def source_digest(kind: str, reference: str) -> str:
    """Return a text that changes when the code behind a plug-in may have changed.

    Of `file.py:name` the name and the SHA-256 of the file and of its neighbours that it imports
    (packages beside the file count with every Python file in them); of an installed package its
    version and the SHA-256 of its Python files; of perfsuite's own tables perfsuite's version.
    """
    if ".py:" in reference:
        files = source_files(reference)
        return f"{reference.rpartition(':')[2]} {_digest(files[0].parent, files)}"
    for point in entry_points(group=GROUPS[kind]):
        if point.name == reference:
            installed = f"{point.dist.name} {point.dist.version}" if point.dist else ""
            return f"{point.value} {installed} {_package_digest(point.module)}"
    return f"perfsuite {__version__}"


def source_files(reference: str) -> tuple[Path, ...]:
    """Return the file of `file.py:name`, and then those beside it that it imports, sorted."""
    path = _file("plug-in", reference)
    return (path, *sorted(_neighbours(path) - {path}))


def own_digest() -> str:
    """Return a text that changes when any of perfsuite's own sources does."""
    return _package_digest("perfsuite")


def libraries_of_file(reference: str) -> tuple[str, ...]:
    """Return the modules that the file of `file.py:name` imports before it does anything, sorted.

    That is before the first statement that is no import: what follows may configure what is
    imported after it. Not those that lie beside it; but torch, if one of these begins with it. Of a
    file that cannot be read or parsed there are none.
    """
    path = Path(reference.rpartition(":")[0]).resolve()
    beside = names_beside(reference) | _OURS | {"__future__"}
    found = {name for name in _first_imports(path) if name.partition(".")[0] not in beside}
    files = _neighbours(path, _first_imports)
    if any(name.partition(".")[0] == "torch" for file in files for name in _first_imports(file)):
        found.add("torch")
    return tuple(sorted(found))


def configures_process(reference: str) -> bool:
    """Tell whether the file of `file.py:name`, or one beside it, configures what it imports.

    That is whether it names the environment or `sys.path` where that is done by importing it, and
    not by a function of it: nothing may be imported before then.
    """
    path = Path(reference.rpartition(":")[0]).resolve()
    return any(map(_names_settings, {path, *_neighbours(path)}))


def names_beside(reference: str) -> set[str]:
    """Return the names of modules and packages that lie beside the file of `file.py:name`."""
    folder = Path(reference.rpartition(":")[0]).resolve().parent
    if not folder.is_dir():
        return set()
    found = folder.iterdir()
    return {one.name.removesuffix(".py") for one in found if one.suffix == ".py" or one.is_dir()}


def _package_digest(module: str) -> str:
    spec = importlib.util.find_spec(module.partition(".")[0])
    if spec is None or spec.origin is None:
        return ""  # loading it will say that it is gone
    origin = Path(spec.origin)
    files = sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]
    return _digest(origin.parent, files)


def _digest(folder: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for source in files:
        content = source.read_bytes()
        digest.update(f"{source.relative_to(folder).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _unknown(kind: str, reference: str, table: Mapping[str, Any]) -> ConfigError:
    if reference.endswith(".py"):
        return ConfigError(
            f"{kind} '{reference}' is a file; say what of it is meant: {reference}:name"
        )
    return ConfigError(
        f"unknown {kind} '{reference}'{suggestion(reference, names(kind, table))}"
        f" (your own: file.py:name{_MORE.get(kind, '')})"
    )


def _nameless(kind: str, reference: str, found: Iterable[str]) -> ConfigError:
    file, _, name = reference.rpartition(":")
    public = [word for word in found if not word.startswith("_")]
    return ConfigError(f"{kind} '{reference}': {file} has no '{name}'{suggestion(name, public)}")


def _file(kind: str, reference: str) -> Path:
    path = Path(reference.rpartition(":")[0]).resolve()
    if not path.is_file():
        raise ConfigError(f"{kind} '{reference}': there is no file {path}")
    return path


def _from_file(kind: str, reference: str) -> Any:
    path = _file(kind, reference)
    name = reference.rpartition(":")[2]
    with user_code(f"{kind} '{reference}': importing it", ConfigError):
        module = _module(path)
    if not hasattr(module, name):
        raise _nameless(kind, reference, vars(module))
    return getattr(module, name)


def _module(path: Path) -> ModuleType:
    """Return the file as a module, run once a process."""
    name = f"perfsuite_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no Python source file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # Its neighbours win while it is imported, as they do when a user runs the file as a script;
    # later, for imports inside its functions, they are found after everything installed.
    folder = str(path.parent)
    sys.path.insert(0, folder)
    _importing.append(path)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        _importing.pop()
        if folder in sys.path:  # the file may have changed it
            sys.path.remove(folder)
    if folder not in sys.path:
        sys.path.append(folder)
    return module


def refuse_while_importing(verb: str) -> None:
    """Raise `ConfigError` if a file of plug-ins calls `verb` while it is imported.

    Each job imports it anew: a run in there would start runs without end.
    """
    if _importing:
        raise ConfigError(
            f"{_importing[-1]} calls {verb} when it is imported, and every job imports it to find "
            f'what it holds; put the call below `if __name__ == "__main__":`'
        )


class _Names(ast.NodeVisitor):
    """Collects the names that a module binds, those inside its `if`, `try`, ... too."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.found.add(node.id)

    def visit_alias(self, node: ast.alias) -> None:
        self.found.add(node.asname or node.name.partition(".")[0])

    def _scope(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.found.add(node.name)  # what it binds inside is not the module's

    def _nothing(self, node: ast.AST) -> None:
        """Skip what has a scope of its own and no name."""

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _scope  # noqa: N815
    visit_Lambda = visit_ListComp = visit_SetComp = _nothing  # noqa: N815
    visit_DictComp = visit_GeneratorExp = _nothing  # noqa: N815


def _bound(tree: ast.Module) -> set[str]:
    visitor = _Names()
    visitor.visit(tree)
    return visitor.found


def _neighbours(path: Path, imports_of: Callable[[Path], Iterable[str]] | None = None) -> set[Path]:
    """Return the files beside `path` that it imports, and those that they import in turn.

    `imports_of` gives the imports of a file that count: all of them if it is not given.
    """
    imports_of = imports_of or _imports
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        for name in {module.partition(".")[0] for module in imports_of(waiting.pop())} - _OURS:
            package, file = path.parent / name, path.parent / f"{name}.py"
            new = {*package.rglob("*.py"), *([file] if file.is_file() else [])} - found
            waiting += new
            found |= new
    return found


def _imports(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports, wherever in it."""
    tree = _parsed(path)
    yield from _imported(ast.walk(tree) if tree else ())


def _first_imports(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports before its first statement that is no import."""
    tree = _parsed(path)
    body = tree.body if tree else []
    docstring = bool(body) and tree is not None and ast.get_docstring(tree) is not None
    imports = (ast.Import, ast.ImportFrom)
    yield from _imported(takewhile(lambda node: isinstance(node, imports), body[docstring:]))


def _names_settings(path: Path) -> bool:
    """Tell whether importing a file runs code that names the environment or `sys.path`."""
    tree = _parsed(path)
    waiting: list[ast.AST] = [tree] if tree else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        named: set[tuple[str | None, str]] = set()
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            named = {(node.value.id, node.attr)}
        elif isinstance(node, ast.ImportFrom):
            named = {(node.module, alias.name) for alias in node.names}
        if named & _SETTINGS:
            return True
        waiting += ast.iter_child_nodes(node)
    return False


def _parsed(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None  # importing it will say so, with its line


def _imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
