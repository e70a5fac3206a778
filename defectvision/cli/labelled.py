"""Labelled images as the commands open them, with progress on what takes long."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.progress import Progress as Bars
from rich.progress import TaskID

from defectvision.audit.forecast import Progress
from defectvision.audit.study import study
from defectvision.cli.terminal import err
from defectvision.data.image_set import ImageSet, open_set
from defectvision.settings import settings


def open_grouped(
    data: Path, bits: int | None, good: Sequence[str] = (), unsorted_good: bool = False
) -> ImageSet:
    """The image set `data`, its samples of `bits` bits where its files do not say how many; its
    photo groups are those it names, joined with the near-copies that its pictures show. An index
    can miss some, and a folder of classes names none. good, unsorted_good: see `open_set`."""
    with steps() as tell:
        images = open_set(data, settings().limits.pixels, bits, good, unsorted_good)
        found = study(data, settings().cache, images.limit_pixels, tell, image_set=images)
        return replace(found.image_set, catalog=found.grouped)


@contextmanager
def steps() -> Iterator[Callable[[Progress], None]]:
    """A progress bar a step; what it gives is told how far a study is."""
    with Bars(console=err, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(progress: Progress) -> None:
            if progress.step not in tasks:
                tasks[progress.step] = bars.add_task(progress.step, total=max(1, progress.total))
            bars.update(tasks[progress.step], completed=progress.done)

        yield tell
