"""The files of a watched folder: which are to be looked at, and which again.

What is inspected is content. The name, the size and the times of a file only say when to look:
a file whose stamp is another one than when it was read is read again, and where its content is
another one it is another part, under the same name or not. No clock is asked but this process's
own, by which a file that stood still for SETTLED_SECONDS is complete.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from defectvision.inference.passed_over import PassedOver
from defectvision.inference.sources import clean_name, images_below, own_name
from defectvision.roots import NotAllowedError
from defectvision.store.rows import Columns
from defectvision.store.tables import InspectionRow
from defectvision.words import duration

SETTLED_SECONDS = 1.0
QUIET_GAPS = 10  # times the usual time between two images, after which their lack is said
QUIET_SECONDS = 60.0  # and never before
UNKNOWN_QUIET_SECONDS = 600.0  # where it is not known what is usual
ARRIVALS = 50  # of which the usual time is the mean


class AwayError(OSError):
    """A source that is away; the message names it and what to do. It is waited for."""


@dataclass
class Seen:
    """The newest row of a path: its number, state, content and stamp when it was read."""

    row: int
    state: str
    digest: str | None
    stamp: str


def stamp_of(path: Path) -> str:
    """What the file system says of a file's content without its being read; raises OSError."""
    about = path.stat()
    return f"{about.st_size}.{about.st_mtime_ns}.{about.st_ctime_ns}.{about.st_ino}"


class Watch:
    """One watched folder, as one process sees it."""

    def __init__(self, session: Session, number: int) -> None:
        """Begins with what the batch's rows say was read."""
        self.read_rows(session, number)
        self._still: dict[str, tuple[str, float]] = {}  # stamps, and since when they stand still
        self._first = True
        self._device: int | None = None
        self._arrivals: deque[float] = deque([time.monotonic()], ARRIVALS)
        self._known_arrivals = 0

    def read_rows(self, session: Session, number: int) -> None:
        """Know what the batch's rows say was read, by whatever process. What stands still since
        when is known on."""
        columns = (
            InspectionRow.path,
            InspectionRow.id,
            InspectionRow.state,
            InspectionRow.digest,
            InspectionRow.stamp,
            InspectionRow.name,
        )
        rows = session.execute(
            select(*columns).where(InspectionRow.batch_id == number).order_by(InspectionRow.id)
        )
        self.seen: dict[str, Seen] = {}
        self._names: set[str] = set()
        for path, row, state, digest, stamp, name in rows:
            self.seen[path] = Seen(row, state, digest, stamp)
            self._names.add(name)

    def was_read(self, rows: Iterable[InspectionRow], answers: Mapping[int, Columns]) -> None:
        """Note what became of files."""
        for row in rows:
            if "state" in (columns := answers.get(row.id, {})):
                self.seen[row.path] = Seen(
                    row.id, columns["state"], columns.get("digest"), columns.get("stamp", "")
                )

    def changed(
        self, folder: Path, passed_over: PassedOver, wall: Path | None = None
    ) -> list[Path]:
        """The complete files that are not yet read as they are now. Raises AwayError where the
        folder is away or leads out of `wall`, and OSError where it cannot be read."""
        if not folder.is_dir():
            raise AwayError(f"{folder}: is gone. It is waited for; put it back")
        try:
            files = images_below(folder, passed_over, wall)
        except NotAllowedError as error:
            raise AwayError(str(error)) from error
        self._check_mount(folder, bool(files))
        moment = time.monotonic()
        still: dict[str, tuple[str, float]] = {}
        found: list[Path] = []
        for file in files:
            try:
                stamp, written = stamp_of(file), file.stat().st_mtime
            except OSError:  # moved away while we looked
                continue
            path = str(file)
            known = self.seen.get(path)
            if known is not None and known.stamp == stamp:
                continue
            before, since = self._still.get(path, ("", 0.0))
            if before != stamp:
                since = moment
                # Of a folder that was there before, complete at once where it is not of just now.
                if self._first and time.time() - written >= SETTLED_SECONDS:
                    since = moment - SETTLED_SECONDS
            still[path] = stamp, since
            if moment - since >= SETTLED_SECONDS:
                found.append(file)
        self._still, self._first = still, False
        return found

    def name_for(self, folder: Path, file: Path) -> str:
        """A name of the batch's own for another part."""
        return own_name(clean_name(file.relative_to(folder).as_posix()), self._names)

    def arrived(self, images: int) -> None:
        """Note that new images came."""
        if images:
            self._arrivals.append(time.monotonic())
            self._known_arrivals += 1

    @property
    def quiet(self) -> str:
        """What to say where images come no more as they usually do; else empty."""
        silent = time.monotonic() - self._arrivals[-1]
        usual = UNKNOWN_QUIET_SECONDS / QUIET_GAPS
        words = ""
        if self._known_arrivals >= 5:
            usual = (self._arrivals[-1] - self._arrivals[0]) / (len(self._arrivals) - 1)
            words = f"; usually one comes every {duration(usual)}"
        if silent < max(QUIET_SECONDS, QUIET_GAPS * usual):
            return ""
        minutes = silent // 60
        return f"no image for {duration(minutes * 60)}{words}. Look at the camera and its folder"

    def _check_mount(self, folder: Path, any_there: bool) -> None:
        device = folder.stat().st_dev
        if any_there or self._device is None:
            self._device = device
        elif device != self._device:
            raise AwayError(
                f"{folder}: is empty and lies on another disk than before, as where a share is not "
                "mounted. It is waited for; mount it again"
            )
