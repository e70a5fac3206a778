"""The store as the routes ask it: a batch or an inspection by its number, or a clear 404."""

from __future__ import annotations

from typing import Annotated

from fastapi import (
    Depends,
    Query,
)
from fastapi import Path as PathPart
from sqlalchemy.orm import Session

from defectvision.api.access import refused
from defectvision.settings import the_store
from defectvision.store import batches
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.results import Results
from defectvision.store.stored import StoredInspection
from defectvision.store.tables import BatchRow, ImageState, InspectionRow

LARGEST_PAGE = 500  # rows of one answer
LAST = (1 << 53) - 1  # the largest number that every JSON reader keeps
Number = Annotated[int, PathPart(ge=1, le=LAST)]
First = Annotated[int, Query(ge=0, le=LAST)]
Most = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]


Stored = Annotated[Store, Depends(the_store)]


def find_batch(session: Session, number: int) -> BatchRow:
    try:
        return batches.get_batch(session, number)
    except StoreError as error:
        raise refused(404, str(error)) from error


def open_results(store: Store, number: int) -> Results:
    with store.reading() as session:
        find_batch(session, number)
    return Results.open(store, number)


def find_inspection(store: Store, number: int) -> tuple[StoredInspection, Results]:
    with store.reading() as session:
        row = session.get(InspectionRow, number)
    if row is None or row.state != ImageState.DONE:
        raise refused(404, f"there is no inspection {number}")
    opened = Results.open(store, row.batch_id)
    found = opened.one(number)
    assert found is not None
    return found, opened
