"""CIFAR-10 (Krizhevsky 2009): 60,000 RGB pictures of 32x32 in ten classes."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from perfsuite.data.cifar10_sources import SOURCES, Arrays, Source, read
from perfsuite.data.download import Progress, download
from perfsuite.data.samples import Samples as Samples
from perfsuite.data.samples import check_split
from perfsuite.errors import ConfigError, SchemaError, Unavailable
from perfsuite.store.disk import flush, locked, room_for, writable
from perfsuite.store.places import data_dir, home

HELD_OUT = 2000  # training pictures that calibration uses and training never sees

GET = "perfsuite data get cifar10"

SHAPES: dict[str, tuple[int, ...]] = {
    "train_images": (50000, 32, 32, 3),
    "train_labels": (50000,),
    "test_images": (10000, 32, 32, 3),
    "test_labels": (10000,),
}

# SHA-256 of the uint8 arrays, C-ordered: training samples as `canonical` sorts them, test samples
# in the order in which they were published.
DIGESTS = {
    "train_images": "81fc97c68fd7ab60488a72ea8d7d00e7c5ae246188d12a2d4f82f4eadb661686",
    "train_labels": "616efc995fc26d4a85faf192473aed601843cfc875550f97eb4a834806675804",
    "test_images": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
    "test_labels": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
}


def load(split: str) -> Samples:
    """Return the samples of `split`: `train` (48,000), `calibration` (2,000) or `test` (10,000).

    The three are disjoint. Test samples are memory-mapped, in the published order. Stored training
    samples are sorted by content, so calibration's are given in random order: the first few are as
    good as any. Raises `ConfigError` when the data set is not here, `SchemaError` when it is not
    what it should be; `verify` alone looks at every byte.
    """
    check_split(split)
    if not is_there():
        raise ConfigError(f"CIFAR-10 is not here; run: {GET}")
    stem = "test" if split == "test" else "train"
    images, labels = _open(f"{stem}_images"), _open(f"{stem}_labels")
    if split == "test":
        return Samples(images, labels)
    order = np.random.default_rng(0).permutation(len(images))
    chosen = order[:HELD_OUT] if split == "calibration" else np.sort(order[HELD_OUT:])
    return Samples(images[chosen], labels[chosen])


def is_there() -> bool:
    """Tell whether all files are stored; `verify` tells whether they are right."""
    return all(_path(stem).is_file() for stem in SHAPES)


def fingerprint() -> str:
    """Return a text that changes when the samples of any split do."""
    return f"cifar10 {' '.join(DIGESTS.values())} held_out={HELD_OUT}"


def verify(progress: Progress) -> Path:
    """Return the folder of the data set; raise `SchemaError` unless its content is CIFAR-10's."""
    for stem in SHAPES:
        if not _is(stem, _open(stem), progress):
            raise SchemaError(
                f"{_path(stem)}: its content is not CIFAR-10's; delete the folder "
                f"{_path(stem).parent} and run: {GET}"
            )
    return data_dir("cifar10")


def fetch(progress: Progress) -> Path:
    """Return the folder of the data set, fetched from the first source that answers, and verified.

    An archive that lies in `PERFSUITE_HOME/downloads` is taken before the net is asked. Raises
    `Unavailable`, with each source's reason, when there is none.
    """
    with locked(home() / "data", "cifar10.lock"):
        if is_there():  # another process was faster
            return verify(progress)
        downloads, reasons = writable(home() / "downloads"), []
        # Archives that lie there come first, and are kept: the user may have brought them.
        for source in sorted(SOURCES, key=lambda one: not (downloads / one.file.name).exists()):
            try:
                return _fetch_from(source, downloads, progress)
            except (Unavailable, SchemaError) as error:
                reasons.append(f"\n  {source.what}: {error}")
    names = " or ".join(source.file.name for source in SOURCES)
    raise Unavailable(
        f"CIFAR-10 cannot be fetched:{''.join(reasons)}\n"
        f"Bring {names} from elsewhere into {downloads}, then run: {GET}"
    )


def _fetch_from(source: Source, downloads: Path, progress: Progress) -> Path:
    archive = downloads / source.file.name
    brought = archive.exists()
    if brought:
        source.file.check(archive, progress)
    else:
        progress(f"looking for {source.file.name}", 0, None)
        download(source.locate(), source.file, downloads, source.timeout_s, progress)
    arrays = read(source, archive, progress)
    for stem, shape in SHAPES.items():
        if arrays[stem].shape != shape:
            raise SchemaError(f"{archive}: holds {arrays[stem].shape} {stem}, not {shape}")
    progress("sorting the training pictures", 0, None)
    arrays |= canonical(arrays["train_images"], arrays["train_labels"])
    folder = _store(arrays, archive, progress)
    if not brought:
        archive.unlink()
    return folder


def canonical(images: np.ndarray, labels: np.ndarray) -> Arrays:
    """Return the training samples sorted by their bytes, the picture's and then the label's.

    Sources have them in different orders; sorted, they are the same files.
    """
    rows = np.concatenate([images.reshape(len(images), -1), labels[:, None]], axis=1)
    order = np.argsort(rows.view(f"V{rows.shape[1]}").ravel(), kind="stable")
    return {"train_images": images[order], "train_labels": labels[order]}


def _store(arrays: Arrays, archive: Path, progress: Progress) -> Path:
    """Write the files beside and rename: the folder is there whole or not at all."""
    folder = data_dir("cifar10")
    beside = folder.with_name(f"{folder.name}.partial")
    for left in (beside, folder):  # of an earlier call that was killed, or with files missing
        if left.exists():
            shutil.rmtree(left)
    with room_for(beside):
        beside.mkdir()
        for stem in SHAPES:
            array = np.ascontiguousarray(arrays[stem])
            if not _is(stem, array, progress):
                raise SchemaError(f"{archive}: its {stem} are not CIFAR-10's; delete it")
            np.save(beside / f"{stem}.npy", array)
        flush(beside)
        return beside.replace(folder)


def _is(stem: str, array: np.ndarray, progress: Progress) -> bool:
    """Tell whether `array` has the content that `stem` must have."""
    found = hashlib.sha256()
    for start in range(0, len(array), 2000):
        found.update(array[start : start + 2000].tobytes())
        progress(f"verifying {stem}", min(start + 2000, len(array)), len(array))
    return found.hexdigest() == DIGESTS[stem]


def _path(stem: str) -> Path:
    return data_dir("cifar10") / f"{stem}.npy"


def _open(stem: str) -> np.ndarray:
    """Return one stored array, memory-mapped; its shape and type are checked."""
    path = _path(stem)
    advice = f"delete the folder {path.parent} and run: {GET}"
    try:
        array = open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise SchemaError(f"{path}: cannot be read: {error}; {advice}") from error
    if array.shape != SHAPES[stem] or array.dtype != np.uint8:
        raise SchemaError(
            f"{path}: holds {array.dtype} {array.shape}, not uint8 {SHAPES[stem]}; {advice}"
        )
    return array
