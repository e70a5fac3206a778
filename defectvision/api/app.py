"""The REST API as one application: its routers, limits of size, and errors in JSON."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable
from secrets import token_hex
from time import perf_counter
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy.exc import SQLAlchemyError
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import Match

from defectvision import __version__, logs
from defectvision.api import batches, inspect, results, reviews, service
from defectvision.api.access import Door, need_of
from defectvision.api.bodies import Bodies
from defectvision.api.monitoring import requests, took
from defectvision.bundle.reader import BundleError
from defectvision.people import Action, NotAllowedError
from defectvision.store.database import in_words
from defectvision.store.errors import StoreError

OPEN = {"/v1/health", "/v1/openapi.json"}  # they need no token
REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)  # one that a proxy gave; else one is made
RESOURCES = (service, inspect, batches, results, reviews)
# All that can be asked for.
ROUTES = [r for one in RESOURCES for r in one.router.routes if isinstance(r, APIRoute)]
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}


api = FastAPI(
    title="DefectVision",
    version=__version__,
    docs_url=None,  # its page would load scripts from elsewhere
    redoc_url=None,
    openapi_url="/v1/openapi.json",
)


log = logging.getLogger(__name__)
door, bodies = Door(), Bodies()


class Said(JSONResponse):
    """JSON in ASCII: a text that came in may hold halves of characters, which UTF-8 cannot."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode()


@api.middleware("http")
async def measured_and_limited(
    request: Request, answer: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Count every answer, and refuse who may not ask before anything of a body is read."""
    started = perf_counter()
    given = request.headers.get("x-request-id", "")
    number = given if REQUEST_ID.fullmatch(given) else token_hex(8)
    with logs.about(request=number):
        response = await _answered(request, answer)
    response.headers["X-Request-ID"] = number
    took.observe(perf_counter() - started)
    method = request.method if request.method in METHODS else "other"
    requests.labels(method, response.status_code).inc()
    return response


async def _answered(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    try:
        if get_route_path(request.scope) not in OPEN:
            request.state.who = await door.admit(request, _asked_for(request))
        with bodies.holding(request):
            return await answer(request)
    except HTTPException as error:
        return refusal(request, error)
    except Exception as error:
        log.exception("%s %s", request.method, request.url.path)
        said = f"the server cannot answer this ({type(error).__name__}); its log says more"
        return Said({"detail": said}, 503)


def _asked_for(request: Request) -> Action | None:
    """What the route that a request is for asks of who calls it."""
    for route in ROUTES:
        if route.matches(request.scope)[0] == Match.FULL:
            return need_of(route)
    return None


@api.exception_handler(StarletteHTTPException)
def refusal(_request: Request, error: StarletteHTTPException) -> Response:
    return Said({"detail": error.detail}, error.status_code, error.headers)


@api.exception_handler(RequestValidationError)
def invalid(_request: Request, error: RequestValidationError) -> Response:
    """What is wrong with which part of a request, and nothing of what was given."""
    wrong = [{key: one[key] for key in ("type", "loc", "msg")} for one in error.errors()]
    return Said({"detail": wrong}, 422)


@api.exception_handler(405)
def wrong_method(request: Request, _error: Exception) -> JSONResponse:
    """Name all methods of the path: each route by itself only knows its own."""
    allowed = {
        method
        for route in ROUTES
        if route.path_regex.match(get_route_path(request.scope))
        for method in route.methods or ()
    }
    headers = {"Allow": ", ".join(sorted(allowed))}
    return JSONResponse({"detail": "Method Not Allowed"}, 405, headers)


@api.exception_handler(StoreError)
@api.exception_handler(BundleError)
def cannot(_request: Request, error: Exception) -> Response:
    log.warning("%s", error)
    return Said({"detail": str(error)}, 503)


@api.exception_handler(NotAllowedError)
def not_allowed(_request: Request, error: NotAllowedError) -> Response:
    return Said({"detail": str(error)}, 403)


@api.exception_handler(SQLAlchemyError)
def database_failed(_request: Request, error: SQLAlchemyError) -> Response:
    said = in_words(error)
    log.warning("%s", said)
    return Said({"detail": said}, 503, {"Retry-After": "5"})


@api.exception_handler(OSError)
def machine_failed(_request: Request, error: OSError) -> Response:
    said = f"{error.filename or 'a file'}: {error.strerror or error}"
    log.warning("%s", said)
    return Said({"detail": f"{said}. Whoever runs the server looks after its disk"}, 503)


for resource in RESOURCES:
    api.include_router(resource.router)
