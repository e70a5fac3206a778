"""Batches: started, followed, paused, ended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import (
    APIRouter,
    File,
    Form,
    Query,
    UploadFile,
)
from pydantic.json_schema import SkipJsonSchema
from sqlalchemy.orm import Session

from defectvision.api.access import CONFLICT, REFUSALS, Batches, Looks, refused
from defectvision.api.schemas import KEEP, TEXT, Batch, FailedFile, FailedFiles, Move, NewBatch
from defectvision.api.stored import LARGEST_PAGE, LAST, First, Most, Number, Stored, find_batch
from defectvision.batch.sources import SourceError
from defectvision.batch.start import BatchRequest, start_batch
from defectvision.bundle.reader import NoSuchBundleError, load_bundle_once
from defectvision.people import Person
from defectvision.settings import settings
from defectvision.store import batches
from defectvision.store.batches import Counts, Engine, State
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.tables import BatchRow, ImageState

router = APIRouter()


@router.get("/v1/batches", tags=["batches"], responses=REFUSALS)
def all_batches(
    _who: Looks,
    store: Stored,
    line: str | SkipJsonSchema[None] = None,
    before: Annotated[int, Query(ge=1, le=LAST)] = LAST,
    most: Most = 200,
) -> list[Batch]:
    """The newest batches; the next older ones with the last one's number as `before`."""
    with store.reading() as session:
        rows = batches.list_batches(session, line, most, before)
        counts = batches.count_by_batch(session, [row.id for row in rows])
        return [_batch(row, counts[row.id]) for row in rows]


@router.post("/v1/batches", tags=["batches"], status_code=201, responses=REFUSALS)
def batch_of_folder(who: Batches, store: Stored, new: NewBatch) -> Batch:
    """Start a batch from a folder of the server."""
    request = BatchRequest(new.title, (), Path(new.path), new.watch, new.keep)
    return _start(store, new.line, new.bundle, request, who)


@router.post("/v1/uploads", tags=["batches"], status_code=201, responses=REFUSALS)
def batch_of_uploads(
    who: Batches,
    store: Stored,
    files: Annotated[list[UploadFile], File(description="images or zip files", min_length=1)],
    line: Annotated[str, Form(min_length=1)],
    bundle: Annotated[str | None, Form(min_length=1)] = None,
    title: Annotated[str, Form(pattern=TEXT, max_length=200)] = "",
    keep: Annotated[str, Form(pattern=KEEP)] = "all",
) -> Batch:
    """Start a batch from files that come with the request."""
    given = ((f.filename or "image", f.file.read()) for f in files)
    return _start(store, line, bundle, BatchRequest(title, given, keep=keep), who)


@router.get("/v1/batches/{number}", tags=["batches"], responses=REFUSALS)
def one_batch(_who: Looks, store: Stored, number: Number) -> Batch:
    """How far a batch is."""
    with store.reading() as session:
        return _counted(session, find_batch(session, number))


@router.get("/v1/batches/{number}/failed", tags=["batches"], responses=REFUSALS)
def failed_files(
    _who: Looks, store: Stored, number: Number, first: First = 0, most: Most = LARGEST_PAGE
) -> FailedFiles:
    """A page of the files that could not be inspected, with the count of all."""
    with store.reading() as session:
        find_batch(session, number)
        count = batches.count_images(session, number).failed
        rows = batches.images_in(session, number, ImageState.FAILED, most, first)
    files = [FailedFile(path=row.name, reason=row.reason, remedy=row.remedy) for row in rows]
    return FailedFiles(images=count, files=files)


@router.post("/v1/batches/{number}/state", tags=["batches"], responses=REFUSALS | CONFLICT)
def move_batch(who: Batches, store: Stored, number: Number, move: Move) -> Batch:
    """Pause, resume or cancel a batch, or finish a watched folder."""
    with store.session() as session:
        find_batch(session, number)
        try:
            batches.move(session, number, State(move.state), who)
        except StoreError as error:
            raise refused(409, str(error)) from error
        session.flush()
        return _counted(session, find_batch(session, number))


def _start(
    store: Store, line: str, bundle: str | None, request: BatchRequest, who: Person
) -> Batch:
    try:
        loaded = load_bundle_once(settings().weights, line, bundle, settings().limits.trusted)
    except NoSuchBundleError as error:
        raise refused(404, str(error)) from error
    try:
        row = start_batch(store, loaded, request, settings().source_roots, who)
    except SourceError as error:
        raise refused(403, str(error)) from error
    with store.reading() as session:
        return _counted(session, row)


def _counted(session: Session, row: BatchRow) -> Batch:
    return _batch(row, batches.count_images(session, row.id))


def _batch(row: BatchRow, counts: Counts) -> Batch:
    return Batch(
        id=row.id,
        title=row.title,
        line=row.line,
        bundle=row.bundle,
        bundle_version=row.bundle_version,
        state=State(row.state),
        engine=Engine(row.engine),
        message=row.message,
        made=row.made,
        ended=row.ended,
        waiting=counts.waiting,
        done=counts.done,
        failed=counts.failed,
        repeated=counts.repeated,
        passed_over=row.passed_over,
        seconds=row.seconds,
    )
