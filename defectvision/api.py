"""The REST API under /api/v1: inspect, batches, results, reviews, health and metrics."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, Literal

from fastapi import (
    Depends,
    FastAPI,
    File,
    Form,
    HTTPException,
    Query,
    Request,
    Response,
    UploadFile,
)
from fastapi import Path as PathPart
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy import text as sql_text
from sqlalchemy.orm import Session
from starlette._utils import get_route_path

from defectvision import __version__
from defectvision.batch.sources import SourceError
from defectvision.batch.start import Wanted, start_batch
from defectvision.bundle.labels import SEPARATOR
from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.reader import BundleError, list_lines, load_bundle_once
from defectvision.inference.images import ImageError
from defectvision.inference.inspector import load_inspector
from defectvision.settings import settings
from defectvision.store import batches, reviews
from defectvision.store.batches import State
from defectvision.store.database import Store, open_store
from defectvision.store.errors import StoreError
from defectvision.store.inspections import Filter, Order
from defectvision.store.policies import newest, policy_of
from defectvision.store.results import Results
from defectvision.store.stored import StoredInspection
from defectvision.store.tables import BatchRow, InspectionRow, ReviewRow

KEEP = r"^(all|defects|none|[1-9][0-9]{0,3})$"
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}
REPEATED = {"verdict", "class"}  # parameters that may stand several times
LARGEST_PAGE = 500  # rows of one answer


class Failure(BaseModel):
    """Why a request was refused, and what to do."""

    detail: str


class Region(BaseModel):
    """One connected defect area, in px and, where the policy knows the scale, in mm."""

    class_name: str = Field(alias="class")
    area_px: int
    length_px: float
    width_px: float
    x_px: float
    y_px: float
    box_px: list[int] = Field(description="left, top, width, height")
    probability: float
    area_mm2: float | None
    length_mm: float | None
    width_mm: float | None


class Label(BaseModel):
    name: str
    probability: float
    named: bool = Field(description="whether the policy names this class")


class Judgement(BaseModel):
    """One inspected image under the policy in force."""

    id: int | None = Field(None, description="number in the store; null where nothing was kept")
    path: str
    line: str
    bundle_version: str
    policy: Policy
    verdict: Verdict
    label: str
    defect_score: float | None
    labels: list[Label]
    regions: list[Region]
    foreign_score: float
    milliseconds: dict[str, float]


class NewBatch(BaseModel):
    """A batch from a folder that lies below one of the server's source roots."""

    line: str
    bundle: str | None = None
    path: str = Field(pattern=r"^[^\x00]*$", max_length=4000)
    watch: bool = False
    title: str = Field("", max_length=200)
    keep: str = Field(
        "all", pattern=KEEP, description="pictures: all, defects, none, or for a number of days"
    )


class Batch(BaseModel):
    id: int
    title: str
    line: str
    bundle: str
    bundle_version: str
    state: State
    message: str
    made: datetime
    ended: datetime | None
    waiting: int
    done: int
    failed: int
    repeated: int
    seconds: float


class Move(BaseModel):
    state: Literal["paused", "running", "cancelled", "done"]


class Page(BaseModel):
    """A page of a batch's results; the counts are of all that the filter leaves."""

    images: int
    verdicts: dict[Verdict, int]
    classes: dict[str, int]
    results: list[Judgement]


class Decision(BaseModel):
    decision: Literal["accept", "reject"]
    label: str = Field("", max_length=500)
    why: str = Field("", max_length=2000)


class Review(Decision):
    id: int
    inspection: int
    who: str
    at: datetime
    model_verdict: Verdict


class Health(BaseModel):
    status: Literal["ok"]
    version: str


class LineAbout(BaseModel):
    name: str
    title: str
    classes: list[str]
    label_mode: str
    default_bundle: str


registry = CollectorRegistry()
inspected = Counter(
    "defectvision_inspections", "Images inspected", ["line", "verdict"], registry=registry
)
requests = Counter(
    "defectvision_requests", "Requests answered", ["method", "status"], registry=registry
)
kept = Gauge("defectvision_batch_images", "Images of all batches", ["state"], registry=registry)
took = Histogram("defectvision_request_seconds", "Time of an answer", registry=registry)
limiter = MovingWindowRateLimiter(MemoryStorage())
bearer = HTTPBearer(auto_error=False, description="A token of DEFECTVISION_API_TOKENS")


def _refused(status: int, detail: str, **headers: str) -> HTTPException:
    return HTTPException(status, detail, headers=headers or None)


def caller(
    request: Request,
    found: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> str:
    """The name of the token that came along; 401 without one, 429 beyond its rate. A parameter
    that does not exist is refused, too: a filter with a slip of the pen would filter nothing."""
    about = settings()
    given = found.credentials.encode() if found else b""
    names = [
        name
        for name, token in about.api_tokens.items()
        if hmac.compare_digest(token.get_secret_value().encode(), given)
    ]
    if not names:
        said = (
            "give a token: Authorization: Bearer <token>"
            if about.api_tokens
            else "no token is set up: whoever runs the server sets DEFECTVISION_API_TOKENS"
        )
        raise _refused(401, said, **{"WWW-Authenticate": "Bearer"})
    if not limiter.hit(RateLimitItemPerMinute(about.api_per_minute), names[0]):
        raise _refused(
            429,
            f"more than {about.api_per_minute} requests a minute; wait",
            **{"Retry-After": "60"},
        )
    known = {field.alias for field in request.scope["route"].dependant.query_params}
    if unknown := sorted(set(request.query_params) - known):
        raise _refused(400, f"no parameter '{unknown[0]}'; known are: {', '.join(sorted(known))}")
    for name in set(request.query_params) - REPEATED:
        if len(request.query_params.getlist(name)) > 1:
            raise _refused(400, f"parameter '{name}' stands twice")
    return names[0]


Who = Annotated[str, Depends(caller)]
Number = Annotated[int, PathPart(ge=1, le=(1 << 53) - 1)]


def the_store() -> Store:
    about = settings()
    return open_store(about.store, about.database, about.files)


Stored = Annotated[Store, Depends(the_store)]
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Failure},
    401: {"model": Failure},
    403: {"model": Failure},
    404: {"model": Failure},
    413: {"model": Failure},
    429: {"model": Failure},
    503: {"model": Failure},
}
CONFLICT: dict[int | str, dict[str, Any]] = {409: {"model": Failure}}
api = FastAPI(
    title="DefectVision",
    version=__version__,
    docs_url=None,  # its page would load scripts from elsewhere
    redoc_url=None,
    openapi_url="/v1/openapi.json",
)


@api.middleware("http")
async def measured_and_limited(
    request: Request, answer: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Count every answer, and refuse a body above the limit before it is read."""
    started = perf_counter()
    largest = settings().max_upload_mb << 20
    length = request.headers.get("content-length", "")
    chunked = "transfer-encoding" in request.headers
    if chunked or (length.isdigit() and int(length) > largest):
        said = "give a Content-Length" if chunked else f"more than {largest >> 20} MB"
        response: Response = JSONResponse({"detail": said}, 411 if chunked else 413)
    else:
        response = await answer(request)
    took.observe(perf_counter() - started)
    method = request.method if request.method in METHODS else "other"
    requests.labels(method, response.status_code).inc()
    return response


@api.exception_handler(405)
def wrong_method(request: Request, _error: Exception) -> JSONResponse:
    """Name all methods of the path: each route by itself only knows its own."""
    allowed = {
        method
        for route in api.routes
        if isinstance(route, APIRoute) and route.path_regex.match(get_route_path(request.scope))
        for method in route.methods
    }
    headers = {"Allow": ", ".join(sorted(allowed))}
    return JSONResponse({"detail": "Method Not Allowed"}, 405, headers)


@api.exception_handler(StoreError)
def store_failed(_request: Request, error: StoreError) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 503)


@api.get("/v1/health", tags=["service"])
def health() -> Health:
    """Whether the server and its store answer; needs no token."""
    with the_store().reading() as session:
        session.execute(sql_text("select 1"))
    return Health(status="ok", version=__version__)


@api.get("/v1/metrics", tags=["service"], response_class=Response, responses=REFUSALS)
def metrics(_who: Who, store: Stored) -> Response:
    """Counts and times for Prometheus."""
    with store.reading() as session:
        rows = session.execute(
            select(InspectionRow.state, func.count()).group_by(InspectionRow.state)
        ).all()
    for state in (batches.WAITING, batches.DONE, batches.FAILED):
        kept.labels(state).set(dict(rows).get(state, 0))
    return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")


@api.get("/v1/lines", tags=["service"], responses=REFUSALS)
def lines(_who: Who) -> list[LineAbout]:
    """The lines that images can be inspected with."""
    return [
        LineAbout(
            name=line.name,
            title=line.title,
            classes=list(line.class_names),
            label_mode=line.label_mode,
            default_bundle=line.default_bundle,
        )
        for line in list_lines(settings().weights)
    ]


@api.post("/v1/inspect", tags=["inspect"], responses=REFUSALS)
def inspect(
    _who: Who,
    store: Stored,
    file: Annotated[UploadFile, File(description="an image file")],
    line: Annotated[str, Form(min_length=1)],
    bundle: Annotated[str | None, Form(min_length=1)] = None,
) -> Judgement:
    """Inspect one image under the policy in force; nothing of it is kept."""
    try:
        inspector = load_inspector(settings().weights, line, bundle, settings().limits)
        found = inspector.inspect(file.file.read(), file.filename or "image")
    except BundleError as error:
        raise _refused(404, str(error)) from error
    except ImageError as error:
        raise _refused(400, str(error)) from error
    with store.reading() as session:
        saved = newest(session, inspector.line.name, inspector.loaded.bundle.name)
    policy = policy_of(saved) if saved else inspector.policy
    inspected.labels(line, found.verdict(policy).value).inc()
    return Judgement.model_validate(found.as_json(policy))


@api.get("/v1/batches", tags=["batches"], responses=REFUSALS)
def all_batches(_who: Who, store: Stored, line: str | None = None) -> list[Batch]:
    """The newest 200 batches."""
    with store.reading() as session:
        return [_batch(session, row) for row in batches.list_batches(session, line)]


@api.post("/v1/batches", tags=["batches"], status_code=201, responses=REFUSALS)
def batch_of_folder(who: Who, store: Stored, wanted: NewBatch) -> Batch:
    """Start a batch from a folder of the server."""
    asked = Wanted(wanted.title, (), Path(wanted.path), wanted.watch, wanted.keep)
    return _start(store, wanted.line, wanted.bundle, asked, who)


@api.post("/v1/uploads", tags=["batches"], status_code=201, responses=REFUSALS)
def batch_of_uploads(
    who: Who,
    store: Stored,
    files: Annotated[list[UploadFile], File(description="images or zip files", min_length=1)],
    line: Annotated[str, Form(min_length=1)],
    bundle: Annotated[str | None, Form(min_length=1)] = None,
    title: Annotated[str, Form(max_length=200)] = "",
    keep: Annotated[str, Form(pattern=KEEP)] = "all",
) -> Batch:
    """Start a batch from files that come with the request."""
    given = ((f.filename or "image", f.file.read()) for f in files)
    return _start(store, line, bundle, Wanted(title, given, keep=keep), who)


@api.get("/v1/batches/{number}", tags=["batches"], responses=REFUSALS)
def one_batch(_who: Who, store: Stored, number: Number) -> Batch:
    """How far a batch is."""
    with store.reading() as session:
        return _batch(session, _found(session, number))


@api.post("/v1/batches/{number}/state", tags=["batches"], responses=REFUSALS | CONFLICT)
def move_batch(who: Who, store: Stored, number: Number, wanted: Move) -> Batch:
    """Pause, resume or cancel a batch, or finish a watched folder."""
    with store.session() as session:
        _found(session, number)
        try:
            batches.move(session, number, State(wanted.state), who)
        except StoreError as error:
            raise _refused(409, str(error)) from error
        session.flush()
        return _batch(session, _found(session, number))


@api.get("/v1/batches/{number}/results", tags=["results"], responses=REFUSALS)
def results(
    _who: Who,
    store: Stored,
    number: Number,
    verdict: Annotated[list[Verdict] | None, Query()] = None,
    class_name: Annotated[list[str] | None, Query(alias="class")] = None,
    low: Annotated[float, Query(ge=0, le=1)] = 0.0,
    high: Annotated[float, Query(ge=0, le=1)] = 1.0,
    text: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")] = "",
    reviewed: bool | None = None,
    order: Order = "listed",
    descending: bool = False,
    first: Annotated[int, Query(ge=0, le=(1 << 53) - 1)] = 0,
    most: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
) -> Page:
    """A page of a batch's results under the policy in force, filtered as on the Results page."""
    opened = _results(store, number)
    policy = opened.policy_in_force()
    chosen = Filter(
        frozenset(verdict or ()), frozenset(class_name or ()), low, high, text, reviewed
    )
    unknown = sorted(chosen.classes - set(opened.line.class_names))
    if unknown:
        raise _refused(
            404, f"no class '{unknown[0]}'; known are: {', '.join(opened.line.class_names)}"
        )
    found = opened.summary(policy, chosen)
    rows = opened.page(policy, chosen, order, descending, first, most)
    return Page(
        images=found.images,
        verdicts=found.verdicts,
        classes=found.classes,
        results=[_judgement(row, policy) for row in rows],
    )


@api.get("/v1/inspections/{number}", tags=["results"], responses=REFUSALS)
def one_inspection(_who: Who, store: Stored, number: Number) -> Judgement:
    """One inspection under the policy in force."""
    found, opened = _inspection(store, number)
    return _judgement(found, opened.policy_in_force())


@api.get(
    "/v1/inspections/{number}/picture",
    tags=["results"],
    responses=REFUSALS | {200: {"content": {"application/octet-stream": {}}}},
    response_class=Response,
)
def picture(_who: Who, store: Stored, number: Number) -> Response:
    """The image file as it came in."""
    found, _ = _inspection(store, number)
    data = found.picture()
    if data is None:
        raise _refused(404, "the picture was not kept, or its days are over")
    # Somebody else's bytes: never to be shown as a page of this server.
    return Response(data, media_type="application/octet-stream",
                    headers={"Content-Disposition": "attachment",
                             "X-Content-Type-Options": "nosniff"})  # fmt: skip


@api.get("/v1/inspections/{number}/reviews", tags=["reviews"], responses=REFUSALS)
def reviews_of(_who: Who, store: Stored, number: Number) -> list[Review]:
    """The decisions on an inspection that stand, the oldest first."""
    _inspection(store, number)
    with store.reading() as session:
        found = reviews.reviews_of(session, [number]).get(number, [])
        return [_review(row) for row in found]


@api.post("/v1/inspections/{number}/reviews", tags=["reviews"], status_code=201, responses=REFUSALS)
def decide(who: Who, store: Stored, number: Number, wanted: Decision) -> Review:
    """Add a decision, under the name of the token."""
    _, opened = _inspection(store, number)
    unknown = set(filter(None, wanted.label.split(SEPARATOR))) - set(opened.line.class_names)
    if unknown:
        known = ", ".join(opened.line.class_names)
        raise _refused(404, f"no class '{min(unknown)}'; known are: {known}")
    policy = opened.policy_in_force()
    with store.session() as session:
        row = reviews.decide(
            session, number, who, wanted.decision, policy, wanted.label, wanted.why
        )
        return _review(row)


def _start(store: Store, line: str, bundle: str | None, wanted: Wanted, who: str) -> Batch:
    try:
        loaded = load_bundle_once(settings().weights, line, bundle)
    except BundleError as error:
        raise _refused(404, str(error)) from error
    try:
        row = start_batch(store, loaded, wanted, settings().source_roots, who)
    except SourceError as error:
        raise _refused(403, str(error)) from error
    with store.reading() as session:
        return _batch(session, row)


def _found(session: Session, number: int) -> BatchRow:
    try:
        return batches.get_batch(session, number)
    except StoreError as error:
        raise _refused(404, str(error)) from error


def _results(store: Store, number: int) -> Results:
    with store.reading() as session:
        _found(session, number)
    return Results.open(store, number)


def _inspection(store: Store, number: int) -> tuple[StoredInspection, Results]:
    with store.reading() as session:
        row = session.get(InspectionRow, number)
    if row is None or row.state != batches.DONE:
        raise _refused(404, f"there is no inspection {number}")
    opened = Results.open(store, row.batch_id)
    found = opened.one(number)
    assert found is not None
    return found, opened


def _batch(session: Session, row: BatchRow) -> Batch:
    counts = batches.count_images(session, row.id)
    return Batch(
        id=row.id,
        title=row.title,
        line=row.line,
        bundle=row.bundle,
        bundle_version=row.bundle_version,
        state=State(row.state),
        message=row.message,
        made=row.made,
        ended=row.ended,
        waiting=counts.waiting,
        done=counts.done,
        failed=counts.failed,
        repeated=counts.repeated,
        seconds=row.seconds,
    )


def _judgement(found: StoredInspection, policy: Policy) -> Judgement:
    return Judgement.model_validate({"id": found.id, **found.as_json(policy)})


def _review(row: ReviewRow) -> Review:
    return Review(
        id=row.id,
        inspection=row.inspection_id,
        who=row.who,
        at=row.at,
        decision=row.decision,
        label=row.label,
        why=row.why,
        model_verdict=Verdict(row.model_verdict),
    )
