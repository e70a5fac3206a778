"""Labelled images as the commands open them, with progress on what takes long."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.progress import Progress, TaskID

from defectvision.audit.study import study
from defectvision.cli.terminal import err
from defectvision.data.image_set import ImageSet, open_set
from defectvision.settings import settings


def open_grouped(data: Path, bits: int | None, good: Sequence[str] = ()) -> ImageSet:
    """The image set `data`, its samples of `bits` bits where its files do not say how many; its
    photo groups are those it names, joined with the near-copies that its pictures show. An index
    can miss some, and a folder of classes names none. good: see `open_set`."""
    with steps() as advance:
        images = open_set(data, settings().limits.pixels, bits, good)
        found = study(data, settings().cache, images.limit_pixels, advance, image_set=images)
        return replace(found.image_set, catalog=found.grouped)


@contextmanager
def steps() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar a step; what it gives is called with (step, done, total)."""
    with Progress(console=err, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def advance(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total)
            bar.update(tasks[step], completed=done, total=max(1, total))

        yield advance
