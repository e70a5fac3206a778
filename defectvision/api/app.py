"""The REST API as one application: its routers, limits of size, and errors in JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy.exc import InterfaceError, OperationalError
from starlette._utils import get_route_path

from defectvision import __version__
from defectvision.api import batches, inspect, results, reviews, service
from defectvision.api.monitoring import requests, took
from defectvision.settings import settings
from defectvision.store.errors import StoreError

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}


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
        for method in route.methods or ()
    }
    headers = {"Allow": ", ".join(sorted(allowed))}
    return JSONResponse({"detail": "Method Not Allowed"}, 405, headers)


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
def database_away(_request: Request, error: OperationalError | InterfaceError) -> JSONResponse:
    """One that does not answer for a moment is asked again by whoever wants something."""
    reason = str(error.orig).strip().splitlines()[0]
    said = f"the database does not answer ({reason}). Nothing was changed; ask again"
    return JSONResponse({"detail": said}, 503, {"Retry-After": "5"})


@api.exception_handler(StoreError)
def store_failed(_request: Request, error: StoreError) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 503)


for resource in (service, inspect, batches, results, reviews):
    api.include_router(resource.router)
