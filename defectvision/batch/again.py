"""Inspect the images of a batch anew, with another bundle or line, as a batch of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from defectvision.batch.remote import is_url
from defectvision.batch.sources import SourceError, folder_source, read_whole, wall_of
from defectvision.batch.watch import stamp_of
from defectvision.bundle.schema import LoadedBundle
from defectvision.inference.images import ImageError
from defectvision.people import Action, Person, needs
from defectvision.store.batches import ENDED, Engine, add_batch, get_batch
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.files import digest_of
from defectvision.store.ownership import join_files
from defectvision.store.retention import DEFECTS, NONE
from defectvision.store.sources import Folder, ListedImage, Source, Uploads, WatchedFolder
from defectvision.store.tables import BatchRow, ImageState, InspectionRow
from defectvision.words import counted

READ_TOGETHER = 500
GIVE_AGAIN = "Give the file again."
IN_STORE = or_(
    InspectionRow.stored,
    (InspectionRow.state != ImageState.DONE)
    & (InspectionRow.path == "")
    & InspectionRow.digest.is_not(None),
)  # an upload that was not inspected stays as long as its batch


@dataclass(frozen=True)
class ToBeHad:
    """Images of a batch by where they can be had again: `kept` in the store, else on `disk` where
    they were read from, if they are still there; `gone` nowhere."""

    kept: int
    disk: int
    gone: int

    @property
    def words(self) -> str:
        """For whoever is about to start it."""
        said = [f"{counted(self.kept, 'picture')} kept in the store"]
        if self.disk:
            said.append(f"{self.disk:,} to be read from where they lay")
        if self.gone:
            said.append(f"{self.gone:,} not to be had again, as they were not kept")
        return ", ".join(said)


def to_be_had(session: Session, number: int) -> ToBeHad:
    """What can be had of a batch, by what its rows say; no file is looked at."""
    where = case((IN_STORE, "kept"), (InspectionRow.path != "", "disk"), else_="gone")
    rows = session.execute(
        select(where, func.count()).where(InspectionRow.batch_id == number).group_by(where)
    ).all()
    found: dict[str, int] = {place: count for place, count in rows}  # noqa: C416 (rows, no pairs)
    return ToBeHad(*(found.get(place, 0) for place in ("kept", "disk", "gone")))


@needs(Action.BATCH)
def start_batch_again(
    store: Store,
    loaded: LoadedBundle,
    number: int,
    roots: Iterable[Path] | None,
    who: Person,
    title: str = "",
    engine: Engine = Engine.LOCAL,
) -> BatchRow:
    """A new batch of the images of batch `number`, which stays as it is, for the bundle `loaded`,
    of its line or of another one. Raises SourceError and StoreError.

    roots: folders that may be read from; None for whoever may read what the system lets them.
    """
    join_files(store)
    with store.reading() as session:
        old = get_batch(session, number)
        had = to_be_had(session, number)
    if old.state not in ENDED:
        raise StoreError(f"batch {number} is {old.state}: wait until it has ended, or cancel it")
    if loaded.is_version(old.bundle_version):
        raise StoreError(
            f"batch {number} was inspected with this very version of bundle "
            f"'{loaded.bundle.name}', so nothing would change. Choose another bundle"
        )
    source = _source(old, had, roots)
    of_line = "" if old.line == loaded.line.name else f"as {loaded.line.title} "
    title = title.strip() or f"{old.title}, again {of_line}with {loaded.bundle.name}"
    with store.session() as session:
        return add_batch(session, loaded, source, title, who, old.keep, engine)


def _source(old: BatchRow, had: ToBeHad, roots: Iterable[Path] | None) -> Source:
    """The place of the pictures is asked for only where some are there and nowhere else."""
    place = old.source
    if had.disk and isinstance(place, Folder | WatchedFolder):
        try:
            found = folder_source(Path(place.path), roots)
            return Folder(path=found.path, root=found.root, again_of=old.id)
        except SourceError:
            if not had.kept:
                raise
    elif had.disk and roots is None:  # at URLs, which the command line alone may read
        return place.model_copy(update={"again_of": old.id})
    if not had.kept:
        raise SourceError(
            f"batch {old.id}: none of its pictures was kept, nor can any be read from where it "
            "lay. Start a batch and give the images again"
        )
    return Uploads(again_of=old.id)


def images_again(store: Store, source: Source, number: int) -> Iterator[ListedImage]:
    """The images of batch `number` as they were inspected then; those that cannot be had so again
    with the reason. Raises SourceError where the batch is gone."""
    with store.reading() as session:
        try:
            old = get_batch(session, number)
        except StoreError as error:
            raise SourceError(f"{error}; its images cannot be had again") from error
    last = 0
    while True:
        with store.reading() as session:
            rows = session.execute(
                select(InspectionRow, IN_STORE)
                .where(InspectionRow.batch_id == number, InspectionRow.id > last)
                .order_by(InspectionRow.id)
                .limit(READ_TOGETHER)
            ).all()
        if not rows:
            return
        last = rows[-1][0].id
        for row, kept in rows:
            yield ListedImage(row.name, digest=row.digest) if kept else _on_disk(row, old, source)


def _on_disk(row: InspectionRow, old: BatchRow, source: Source) -> ListedImage:
    """An image whose picture is not in the store."""
    reason, remedy = "", GIVE_AGAIN
    if not row.path:
        reason, remedy = (row.reason, row.remedy) if row.reason else (_not_kept(old), GIVE_AGAIN)
    elif isinstance(source, Uploads):
        reason = f"{_not_kept(old)}, and {row.path} cannot be read from here"
    else:
        reason = _changed(row, source)
    if reason:
        return ListedImage(row.name, reason=reason, remedy=remedy)
    return ListedImage(row.name, path=row.path)


def _not_kept(old: BatchRow) -> str:
    if old.keep == NONE:
        return f"no picture of batch {old.id} was kept"
    if old.keep == DEFECTS:
        return f"was accepted in batch {old.id}, so its picture was not kept"
    return f"its picture is kept no longer, as the days of batch {old.id} are over"


def _changed(row: InspectionRow, source: Source) -> str:
    """Why a file is not the one that was inspected; empty where it is. It is read only where the
    file system says that it was written or moved since; what lies at a URL is not."""
    if is_url(row.path):
        return ""
    path = Path(row.path)
    try:
        if row.digest is None or (row.stamp and stamp_of(path) == row.stamp):
            return "" if path.exists() else f"{path} is gone"
        now = digest_of(read_whole(path, wall_of(source)).data)
    except ImageError as error:
        return error.reason
    except OSError as error:
        return f"{path} cannot be read ({error.strerror or error})"
    return "" if now == row.digest else f"{path} is another file now than the one inspected"
