"""The progress of a download: the file, the bytes so far, and the time left."""

from __future__ import annotations

from typing import Any


class DownloadProgress:
    """Shows a bar for each file that is fetched.

    It is called with the file's name, the bytes so far, and the total, None if unknown.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Left

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), Left())
        self.bar = Progress(*columns, console=Console(stderr=True))
        self.tasks: dict[str, Any] = {}

    def __enter__(self) -> DownloadProgress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Move the bar of `what`."""
        if what not in self.tasks:
            self.tasks[what] = self.bar.add_task(what, total=total)
        self.bar.update(self.tasks[what], completed=done, total=total)
