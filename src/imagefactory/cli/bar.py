"""A progress bar on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from imagefactory.core.images import Image


class Bar:
    """One bar for each image that is being made."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def tell(self, image: Image) -> None:
        """Move the bar of this image."""
        if image.id not in self._tasks:
            self._finish()
            self._tasks[image.id] = self._progress.add_task(image.title, total=100, activity="")
        task = self._tasks[image.id]
        self._progress.update(task, completed=image.percent, activity=image.activity)

    def write(self, text: str) -> None:
        """Write lines above the bars."""
        self._progress.console.print(text, end="", markup=False, highlight=False, soft_wrap=True)

    def _finish(self) -> None:
        """Whoever is no longer the one that is worked on is whole."""
        for task in self._tasks.values():
            self._progress.update(task, completed=100, activity="")


@contextmanager
def bar() -> Iterator[Bar]:
    """Bars on standard error while the block runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn(
            "{task.fields[activity]}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
        ),
    )
    with Progress(*columns, console=Console(stderr=True), expand=True) as progress:
        yield Bar(progress)
