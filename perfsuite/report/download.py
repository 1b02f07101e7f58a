"""A download's progress: what, how much, how long still."""

from __future__ import annotations

from typing import Any


class Download:
    """Call it with (what, bytes done, bytes in all or None); a bar for each `what`."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Left

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), Left())
        self.bar = Progress(*columns, console=Console(stderr=True))
        self.tasks: dict[str, Any] = {}

    def __enter__(self) -> Download:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Move the bar of `what`."""
        if what not in self.tasks:
            self.tasks[what] = self.bar.add_task(what, total=total)
        self.bar.update(self.tasks[what], completed=done, total=total)
