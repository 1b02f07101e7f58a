"""Which files were verified is remembered beside them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from perfsuite.data import stamps


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
