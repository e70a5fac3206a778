"""Inspections of a batch under the policy in force."""

from __future__ import annotations

from typing import Annotated

from fastapi import (
    APIRouter,
    Query,
    Response,
)
from pydantic.json_schema import SkipJsonSchema

from defectvision.api.access import REFUSALS, Looks, refused
from defectvision.api.schemas import TEXT, Judgement, Page
from defectvision.api.stored import First, Most, Number, Stored, find_inspection, open_results
from defectvision.bundle.policy import Policy, Verdict
from defectvision.store.errors import LostFileError
from defectvision.store.selection import Filter, Order, Sorting
from defectvision.store.stored import StoredInspection

router = APIRouter()


@router.get("/v1/batches/{number}/results", tags=["results"], responses=REFUSALS)
def results(
    _who: Looks,
    store: Stored,
    number: Number,
    verdict: Annotated[list[Verdict] | SkipJsonSchema[None], Query()] = None,
    class_name: Annotated[list[str] | SkipJsonSchema[None], Query(alias="class")] = None,
    low: Annotated[float, Query(ge=0, le=1)] = 0.0,
    high: Annotated[float, Query(ge=0, le=1)] = 1.0,
    text: Annotated[str, Query(max_length=200, pattern=TEXT)] = "",
    reviewed: bool | SkipJsonSchema[None] = None,
    order: Order = "listed",
    descending: bool = False,
    first: First = 0,
    most: Most = 50,
) -> Page:
    """A page of a batch's results under the policy in force, filtered as on the Results page."""
    opened = open_results(store, number)
    policy = opened.policy_in_force().policy
    chosen = Filter(
        frozenset(verdict or ()), frozenset(class_name or ()), low, high, text, reviewed
    )
    unknown = sorted(chosen.classes - set(opened.line.class_names))
    if unknown:
        raise refused(
            404, f"no class '{unknown[0]}'; known are: {', '.join(opened.line.class_names)}"
        )
    selection = opened.selection(policy, chosen)
    summary = opened.summary(selection)
    rows = opened.page(selection, Sorting(order, descending), first, most)
    return Page(
        images=summary.images,
        verdicts=summary.verdicts,
        classes=summary.classes,
        results=[_judgement(row, policy) for row in rows],
    )


@router.get("/v1/inspections/{number}", tags=["results"], responses=REFUSALS)
def one_inspection(_who: Looks, store: Stored, number: Number) -> Judgement:
    """One inspection under the policy in force."""
    found, opened = find_inspection(store, number)
    return _judgement(found, opened.policy_in_force().policy)


@router.get(
    "/v1/inspections/{number}/picture",
    tags=["results"],
    responses=REFUSALS | {200: {"content": {"application/octet-stream": {}}}},
    response_class=Response,
)
def picture(_who: Looks, store: Stored, number: Number) -> Response:
    """The image file as it came in."""
    found, _ = find_inspection(store, number)
    try:
        data = found.picture()
    except LostFileError as error:
        raise refused(404, str(error)) from error
    if data is None:
        raise refused(404, "the picture was not kept, or its days are over")
    # Somebody else's bytes: never to be shown as a page of this server.
    return Response(data, media_type="application/octet-stream",
                    headers={"Content-Disposition": "attachment",
                             "X-Content-Type-Options": "nosniff"})  # fmt: skip


def _judgement(inspection: StoredInspection, policy: Policy) -> Judgement:
    return Judgement.model_validate({"id": inspection.id, **inspection.as_json(policy)})
