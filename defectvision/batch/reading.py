"""Read the images of rows, with a limit of time: a share that hangs holds up nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from defectvision.batch.deadline import TooSlowError, within
from defectvision.batch.memory import OfBatch
from defectvision.batch.sources import Read, check_is_there, read_image, read_whole, wall_of
from defectvision.batch.watch import AwayError, stamp_of
from defectvision.inference.images import ImageError
from defectvision.inference.sources import unreadable
from defectvision.store.files import Files
from defectvision.store.rows import Columns, failure_columns
from defectvision.store.sources import Source
from defectvision.store.tables import InspectionRow

READ_SECONDS = 20.0  # that reading one image may take
MOST_BYTES = 128 * 2**20  # of files that are inspected together
MOST_STUCK = 2  # reads that hang at once, after which the whole source is waited for
MOST_TRIES = 5  # of one image


class Reader:
    """Reads what a batch's rows and its folder name."""

    def __init__(self, source: Source, files: Files, memory: OfBatch) -> None:
        self.source, self.files, self.memory = source, files, memory

    def read_rows(self, rows: list[InspectionRow]) -> tuple[dict[int, Columns], dict[int, Read]]:
        """What was read, by row, and the columns of the rows that could not be: they failed, or
        wait for another try. Rows of which nothing is said were left for later, as the others fill
        MOST_BYTES. Raises AwayError and StoreError where no row is at fault."""
        columns: dict[int, Columns] = {}
        read: dict[int, Read] = {}
        left = MOST_BYTES
        for row in rows:
            if left <= 0:
                break
            self.memory.doing = f"reading the image {row.name}"
            try:
                read[row.id] = self._read(partial(read_image, row, self.source, self.files))
                left -= len(read[row.id].data)
            except ImageError as error:
                columns[row.id] = failure_columns(error) | {"stamp": stamp_now(row.path)}
            except AwayError:
                raise
            except OSError as error:
                check_is_there(self.source, row.path)
                columns[row.id] = self._once_more(row, error)
        return columns, read

    def read_file(self, path: Path) -> Read | None:
        """A file of a watched folder; None where it is to be looked at another time. Raises
        AwayError."""
        self.memory.doing = f"reading the image {path}"
        try:
            return self._read(partial(read_whole, path, wall_of(self.source)))
        except AwayError:
            raise
        except (ImageError, OSError):
            return None

    def _read(self, work: partial[Read]) -> Read:
        try:
            return within(READ_SECONDS, work)
        except TooSlowError as error:
            self.memory.stuck.append(error.thread)
            if self.memory.count_stuck() >= MOST_STUCK:
                raise AwayError(
                    "its images do not answer when they are read. They are waited for; look at "
                    "the share that they lie on"
                ) from error
            raise

    def _once_more(self, row: InspectionRow, error: OSError) -> Columns:
        tries = row.tries + 1
        if tries >= MOST_TRIES:
            return failure_columns(unreadable(row.name, error)) | {"stamp": stamp_now(row.path)}
        return {"tries": tries}


def stamp_now(path: str) -> str:
    """Of a file as it is now; empty where it cannot be asked, or there is none."""
    try:
        return stamp_of(Path(path)) if path else ""
    except OSError:
        return ""
