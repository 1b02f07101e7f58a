"""CIFAR-10 is fetched from its public sources and stored."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from perfsuite.data import cifar10, stamps
from perfsuite.data.cifar10_sources import SOURCES, Arrays, Source, read
from perfsuite.data.download import download
from perfsuite.data.samples import FetchProgress
from perfsuite.errors import SchemaError, Unavailable
from perfsuite.store.disk import locked, replacing, writable
from perfsuite.store.places import data_dir, home
from perfsuite.store.room import room_for


def fetch(progress: FetchProgress) -> Path:
    """Return the folder of the data set, fetched from the first source that answers, and verified.

    An archive in `PERFSUITE_HOME/downloads` is used without downloading. Raises `Unavailable`, with
    the reason for each source, if none answers.
    """
    with locked(home() / "data", "cifar10.lock"):
        if cifar10.is_there():  # another process was faster
            return cifar10.verify(progress)
        downloads, reasons = writable(home() / "downloads"), []
        # Archives that are there already come first, and are kept, as the user may have put them.
        for source in sorted(SOURCES, key=lambda one: not (downloads / one.file.name).exists()):
            try:
                return _fetch_from(source, downloads, progress)
            except (Unavailable, SchemaError) as error:
                reasons.append(f"\n  {source.what}: {error}")
    names = " or ".join(source.file.name for source in SOURCES)
    raise Unavailable(
        f"CIFAR-10 cannot be fetched:{''.join(reasons)}\n"
        f"Bring {names} from elsewhere into {downloads}, then run: {cifar10.GET}"
    )


def _fetch_from(source: Source, downloads: Path, progress: FetchProgress) -> Path:
    archive = downloads / source.file.name
    brought = archive.exists()
    if brought:
        source.file.check(archive, progress)
    else:
        progress(f"looking for {source.file.name}", 0, None)
        download(source.locate(), source.file, downloads, source.timeout_s, progress)
    arrays = read(source, archive, progress)
    for stem, shape in cifar10.SHAPES.items():
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

    The sources have them in different orders; sorted, the stored files are equal.
    """
    rows = np.concatenate([images.reshape(len(images), -1), labels[:, None]], axis=1)
    order = np.argsort(rows.view(f"V{rows.shape[1]}").ravel(), kind="stable")
    return {"train_images": images[order], "train_labels": labels[order]}


def _store(arrays: Arrays, archive: Path, progress: FetchProgress) -> Path:
    """Return the folder with the stored files; it is written under another name and renamed."""
    folder = data_dir("cifar10")
    for left in (*folder.parent.glob(f"{folder.name}.*partial"), folder):  # killed, or incomplete
        if left.exists():
            shutil.rmtree(left)
    with room_for(folder), replacing(folder) as beside:
        beside.mkdir()
        for stem in cifar10.SHAPES:
            array = np.ascontiguousarray(arrays[stem])
            if not cifar10.is_right(stem, array, progress):
                raise SchemaError(f"{archive}: its {stem} are not CIFAR-10's; delete it")
            path = beside / f"{stem}.npy"
            np.save(path, array)
            stamps.remember(path, stamps.stamp(path, cifar10.DIGESTS[stem]))
    return folder
