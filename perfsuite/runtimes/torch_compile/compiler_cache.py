"""The compiler's cache of an artifact: with it, opening the artifact compiles nothing anew.

`torch.compiler.save_cache_artifacts` leaves out what the C++ compiler has made, which is what takes
longest on a processor. So the folder of Inductor's cache is kept whole.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

from perfsuite.errors import SchemaError
from perfsuite.runtimes.shared.base import trimmed
from perfsuite.store.temporary import TemporaryFolder

FOLDER = "TORCHINDUCTOR_CACHE_DIR"
# Triton has one of its own, which Inductor sets once in a process to what is inside its own then.
TRITON = "TRITON_CACHE_DIR"
# What compilers make: shared objects on the processor, kernels on a card.
_COMPILED = ("*.so", "*.cubin", "*.hsaco")
_LOCKS = "locks"


class CompilerCache:
    """A folder in which this process's compilers look and keep, filled from an archive, if any."""

    def __init__(self, archive: Path | None = None) -> None:
        self._folder = TemporaryFolder()
        self._before = {name: os.environ.get(name) for name in (FOLDER, TRITON)}
        if archive is not None:
            try:
                with tarfile.open(archive, "r:") as file:
                    file.extractall(self._folder.name, filter="data")
            except (tarfile.TarError, OSError) as error:
                self._folder.cleanup()
                raise SchemaError(
                    f"{archive}: the compiler's cache cannot be read ({trimmed(str(error))}); "
                    f"build the artifact again"
                ) from error
        self._own = {FOLDER: self._folder.name, TRITON: str(Path(self._folder.name) / "triton")}
        os.environ.update(self._own)
        self._had = self._compiled()

    def made(self) -> list[str]:
        """Return the names of what was compiled since this folder was made, sorted."""
        return sorted(self._compiled() - self._had)

    def keep(self, archive: Path) -> None:
        """Write the folder's content as an archive; equal contents give equal bytes."""
        root = Path(self._folder.name)
        files = (path for path in sorted(root.rglob("*")) if path.is_file())
        with tarfile.open(archive, "w") as file:
            for path in files:
                name = path.relative_to(root)
                if _LOCKS not in name.parts:
                    file.add(path, str(name), filter=_nameless)

    def close(self) -> None:
        """Remove the folder; a second time does nothing."""
        for name, own in self._own.items():
            if os.environ.get(name) == own:
                del os.environ[name]
                if (before := self._before[name]) is not None:
                    os.environ[name] = before
        self._folder.cleanup()

    def _compiled(self) -> set[str]:
        root = Path(self._folder.name)
        return {path.name for pattern in _COMPILED for path in root.rglob(pattern)}


def _nameless(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry
