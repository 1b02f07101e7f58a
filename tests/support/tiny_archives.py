"""CIFAR-10 of twelve pictures, in archives of both forms, and a server that has them."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from perfsuite.data import cifar10_fetch, cifar10_sources
from perfsuite.data.download import File

RNG = np.random.default_rng(7)
TRAIN = RNG.integers(0, 256, (10, 32, 32, 3), np.uint8)
TRAIN_LABELS = np.arange(10, dtype=np.uint8)
TEST = RNG.integers(0, 256, (2, 32, 32, 3), np.uint8)
TEST_LABELS = np.array([4, 2], np.uint8)
# Sorted by hand: random pictures differ in their first bytes, and tuples compare as bytes do.
ORDER = sorted(range(10), key=lambda i: tuple(TRAIN[i].ravel()))
CONTENT = {
    "train_images": TRAIN[ORDER],
    "train_labels": TRAIN_LABELS[ORDER],
    "test_images": TEST,
    "test_labels": TEST_LABELS,
}


def silent(what: str, done: int, total: int | None) -> None:
    pass


def tar_of(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def png(pictures: np.ndarray) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pictures.reshape(len(pictures), 1024, 3)).save(out, "PNG")
    return out.getvalue()


def npm_members(order: np.ndarray) -> dict[str, bytes]:
    images, labels = TRAIN[order], TRAIN_LABELS[order]
    pngs = {f"data_batch_{i + 1}.png": png(images[2 * i : 2 * i + 2]) for i in range(5)}
    return {
        "package/index.js": b"throw 1",
        "../../outside.json": b"[]",
        **{f"package/{name}": data for name, data in pngs.items()},
        "package/test_batch.png": png(TEST),
        "package/train_lables.json": json.dumps(labels.tolist()).encode(),
        "package/test_lables.json": json.dumps(TEST_LABELS.tolist()).encode(),
    }


def binary(images: np.ndarray, labels: np.ndarray) -> bytes:
    """Write it picture by picture: the label, then the red, the green and the blue plane."""
    out = b""
    for image, label in zip(images, labels, strict=True):
        out += bytes([label]) + b"".join(image[:, :, colour].tobytes() for colour in range(3))
    return out


def official_members() -> dict[str, bytes]:
    members = {
        f"cifar/data_batch_{i + 1}.bin": binary(
            TRAIN[2 * i : 2 * i + 2], TRAIN_LABELS[2 * i : 2 * i + 2]
        )
        for i in range(5)
    }
    return {**members, "cifar/test_batch.bin": binary(TEST, TEST_LABELS), "cifar/readme": b"hi"}


class Server:
    """Serves `files` on this machine; `cut` ends answers after so many bytes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.ranges, self.cut = True, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.asked.append((handler.path, asked))
        data = self.files.get(handler.path)
        if data is None:
            handler.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if start and start >= len(data):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        handler.wfile.write(data[start : start + self.cut] if self.cut else data[start:])


def know(monkeypatch: pytest.MonkeyPatch, folder: Path, server: Server) -> None:
    """Let the module believe in the archives of `folder` as they are now."""
    made = []
    for source, name, algorithm in zip(
        cifar10_sources.SOURCES, ("npm.tgz", "official.tar.gz"), ("sha512", "md5"), strict=True
    ):
        digest = hashlib.new(algorithm, (folder / name).read_bytes()).hexdigest()
        url = f"{server.url}/{name}"
        made.append(replace(source, file=File(name, algorithm, digest), locate=lambda u=url: u))
    monkeypatch.setattr(cifar10_fetch, "SOURCES", tuple(made))


def serve(server: Server, archives: Path, *names: str) -> None:
    server.files = {f"/{name}": (archives / name).read_bytes() for name in names}


def bring(archives: Path, tmp_path: Path, name: str) -> Path:
    (tmp_path / "home" / "downloads").mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(archives / name, tmp_path / "home" / "downloads" / name))


def stored(tmp_path: Path) -> dict[str, np.ndarray]:
    folder = tmp_path / "home" / "data" / "cifar10"
    return {path.stem: np.load(path) for path in folder.glob("*.npy")}


def is_right(tmp_path: Path) -> bool:
    found = stored(tmp_path)
    return found.keys() == CONTENT.keys() and all(
        np.array_equal(found[stem], CONTENT[stem]) for stem in CONTENT
    )
