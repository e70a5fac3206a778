"""Labelled images as the commands open them, with progress on what takes long."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.progress import Progress as Bars
from rich.progress import TaskID

from defectvision.audit import study
from defectvision.audit.forecast import Progress, Step
from defectvision.bundle.line import Line
from defectvision.cli.terminal import err, print_note
from defectvision.data.image_set import ImageSet
from defectvision.evaluation.evaluate import NAME_GOOD, taken_for_deviations
from defectvision.evaluation.kept import Seen
from defectvision.evaluation.seen import how_seen
from defectvision.settings import settings


def open_grouped(
    data: Path, bits: int | None, good: Sequence[str] = (), unsorted_good: bool = False
) -> ImageSet:
    """See `study.open_grouped`."""
    with steps() as tell:
        return study.open_grouped(
            data, settings().cache, settings().limits.pixels, tell,
            bits=bits, good=good, unsorted_good=unsorted_good,
        )  # fmt: skip


def seen_with_progress(images: ImageSet, folder: Path) -> list[Seen]:
    """`how_seen`, with a progress bar."""
    with Bars(console=err, transient=True) as bars:
        task = bars.add_task(Step.KNOWN, total=len(images.catalog))
        return how_seen(images, folder, lambda: bars.advance(task))


def print_unknown(images: ImageSet, line: Line) -> None:
    """Which labels count as deviations since the line does not know them, and what to do."""
    if told := taken_for_deviations(images.catalog, line):
        print_note(f"{told}. {NAME_GOOD}")


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
