"""Whether the server answers, what it counts, and the lines that it knows."""

from __future__ import annotations

from fastapi import (
    APIRouter,
    Response,
)
from prometheus_client import generate_latest
from sqlalchemy import func, select

from defectvision import __version__
from defectvision.api.access import REFUSALS, Looks
from defectvision.api.monitoring import kept, registry
from defectvision.api.schemas import Health, LineAbout
from defectvision.api.stored import Stored
from defectvision.batch.health import health_of
from defectvision.bundle.reader import find_lines
from defectvision.finding import Condition, worst
from defectvision.settings import settings
from defectvision.store.tables import ImageState, InspectionRow

router = APIRouter()


@router.get("/v1/health", tags=["service"], responses={503: {"model": Health}})
def health(response: Response) -> Health:
    """Whether what batches need works, each part by itself: 503 where one is broken. It is looked
    up at most every 2 s; needs no token, and says nothing of what is where."""
    about = settings()
    found = health_of(about.store, about.database, about.files).look()
    status = worst(found)
    if status == Condition.BROKEN:
        response.status_code = 503
        response.headers["Retry-After"] = "5"
    parts = {one.part: one.state for one in found}
    return Health(status=status, version=__version__, parts=parts)


@router.get("/v1/metrics", tags=["service"], response_class=Response, responses=REFUSALS)
def metrics(_who: Looks, store: Stored) -> Response:
    """Counts and times for Prometheus."""
    with store.reading() as session:
        rows = session.execute(
            select(InspectionRow.state, func.count()).group_by(InspectionRow.state)
        ).all()
    for state in ImageState:
        kept.labels(state).set(dict(rows).get(state, 0))
    return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")


@router.get("/v1/lines", tags=["service"], responses=REFUSALS)
def lines(_who: Looks) -> list[LineAbout]:
    """The lines that images can be inspected with; one that cannot be read says why."""
    listed = find_lines(settings().weights)
    known = [
        LineAbout(
            name=line.name,
            title=line.title,
            classes=list(line.class_names),
            label_mode=line.label_mode,
            default_bundle=line.default_bundle,
        )
        for line in listed.readable
    ]
    return known + [
        LineAbout(name=name, title="", classes=[], label_mode="", default_bundle="", problem=reason)
        for name, reason in listed.problems.items()
    ]
