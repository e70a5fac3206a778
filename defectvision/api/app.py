"""The REST API as one application: its routers, limits of size, and errors in JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette._utils import get_route_path

from defectvision import __version__
from defectvision.api import batches, inspect, results, reviews, service
from defectvision.api.access import Door
from defectvision.api.monitoring import requests, took
from defectvision.settings import settings
from defectvision.store.errors import StoreError

OPEN = {"/v1/health", "/v1/openapi.json"}  # they need no token
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}


api = FastAPI(
    title="DefectVision",
    version=__version__,
    docs_url=None,  # its page would load scripts from elsewhere
    redoc_url=None,
    openapi_url="/v1/openapi.json",
)


door = Door()


@api.middleware("http")
async def measured_and_limited(
    request: Request, answer: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Count every answer, and refuse who may not ask before anything of a body is read."""
    started = perf_counter()
    try:
        if get_route_path(request.scope) not in OPEN:
            request.state.who = await door.admit(request)
        _check_length(request)
        response = await answer(request)
    except HTTPException as error:
        response = JSONResponse({"detail": error.detail}, error.status_code, error.headers)
    took.observe(perf_counter() - started)
    method = request.method if request.method in METHODS else "other"
    requests.labels(method, response.status_code).inc()
    return response


def _check_length(request: Request) -> None:
    largest = settings().max_upload_mb << 20
    length = request.headers.get("content-length", "")
    if "transfer-encoding" in request.headers:
        raise HTTPException(411, "give a Content-Length")
    if length.isdigit() and int(length) > largest:
        raise HTTPException(413, f"more than {largest >> 20} MB")


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


@api.exception_handler(StoreError)
def store_failed(_request: Request, error: StoreError) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 503)


for resource in (service, inspect, batches, results, reviews):
    api.include_router(resource.router)
