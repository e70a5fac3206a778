"""Decisions of people."""

from __future__ import annotations

from fastapi import (
    APIRouter,
)

from defectvision.api.access import CONFLICT, REFUSALS, Decides, Looks, refused
from defectvision.api.schemas import Decision, Review
from defectvision.api.stored import Number, Stored, find_inspection
from defectvision.bundle.labels import SEPARATOR
from defectvision.store import reviews
from defectvision.store.errors import ContradictionError, StoreError
from defectvision.store.tables import ReviewRow

router = APIRouter()


@router.get("/v1/inspections/{number}/reviews", tags=["reviews"], responses=REFUSALS)
def reviews_of(_who: Looks, store: Stored, number: Number) -> list[Review]:
    """The decisions on an inspection that stand, the oldest first."""
    find_inspection(store, number)
    with store.reading() as session:
        found = reviews.reviews_of(session, [number]).get(number, [])
        return [_review(row) for row in found]


@router.post(
    "/v1/inspections/{number}/reviews",
    tags=["reviews"],
    status_code=201,
    responses=REFUSALS | CONFLICT,
)
def decide(who: Decides, store: Stored, number: Number, decision: Decision) -> Review:
    """Add a decision, under the name of the token; 400 where it contradicts itself, 409 where
    the lot is released."""
    _, opened = find_inspection(store, number)
    unknown = set(filter(None, decision.label.split(SEPARATOR))) - set(opened.line.class_names)
    if unknown:
        known = ", ".join(opened.line.class_names)
        raise refused(404, f"no class '{min(unknown)}'; known are: {known}")
    policy = opened.policy_in_force().policy
    opened.measure(policy)
    try:
        with store.session() as session:
            row = reviews.decide(
                session, number, who, decision.decision, policy, decision.label, decision.why
            )
            return _review(row)
    except ContradictionError as error:
        raise refused(400, str(error)) from error
    except StoreError as error:  # the lot is released
        raise refused(409, str(error)) from error


def _review(row: ReviewRow) -> Review:
    return Review.model_validate(
        {
            "id": row.id,
            "inspection": row.inspection_id,
            "who": row.who,
            "at": row.at,
            "decision": row.decision,
            "label": row.label,
            "why": row.why,
            "model_verdict": row.model_verdict,
        }
    )
