"""Sign in with an account of the store: the form, and the door that shows it to everybody else."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote, urlsplit

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from defectvision.people import Person
from defectvision.settings import settings
from defectvision.store.accounts import SIGNED_IN, WrongPasswordError, folded, sign_in, signed_in
from defectvision.store.database import open_store
from defectvision.store.errors import StoreError

COOKIE = "defectvision-sign-in"
PLACE = "/sign-in"
# The form; the API, which looks at tokens; whether the server is up; Streamlit's own files.
OPEN = (PLACE, "/_stcore/health")
OPEN_BELOW = ("/api/", "/static/")
LARGEST_FORM = 4096  # bytes

PAGE = Template(Path(__file__).with_name("sign_in.html").read_text(encoding="utf-8"))
NO_STORE = "Nobody can sign in now: the store does not answer. Try again in a minute."
WRONG = "Name and password do not belong together."
TOO_OFTEN = "Too many wrong passwords. Wait a minute, then try again."

log = logging.getLogger(__name__)
limiter = MovingWindowRateLimiter(MemoryStorage())
PER_ADDRESS_AND_NAME = RateLimitItemPerMinute(5)
PER_ADDRESS = RateLimitItemPerHour(100)
PER_NAME = RateLimitItemPerHour(200)
# Each check of a password takes 64 MiB and a tenth of a second of all cores.
AT_ONCE = 2
MOST_WAITING = 20


def person_of(token: str) -> Person | None:
    """Who is signed in with what their browser keeps; raises StoreError and SQLAlchemyError."""
    if not token:
        return None
    about = settings()
    with open_store(about.store, about.database, about.files).reading() as session:
        found = signed_in(session, token)
    return found[0] if found else None


class Door:
    """ASGI middleware: whoever is not signed in gets the form, and nothing else."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or _is_open(scope["path"]):
            await self.app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        try:
            person = await run_in_threadpool(person_of, asked.cookies.get(COOKIE, ""))
        except (StoreError, SQLAlchemyError) as error:
            log.warning("who is signed in cannot be looked up: %s", error)
            answer: Response = Response(NO_STORE, 503, {"Retry-After": "5"})
        else:
            if person is not None:
                await self.app(scope, receive, send)
                return
            if scope["type"] == "websocket":
                await WebSocketClose(1008, "sign in first")(scope, receive, send)
                return
            if scope["method"] == "GET" and "text/html" in asked.headers.get("accept", ""):
                wanted = asked.url.path + (f"?{asked.url.query}" if asked.url.query else "")
                there = f"{PLACE}?next={quote(wanted, safe='/')}"
                answer = RedirectResponse(there, 303, {"Cache-Control": "no-store"})
            else:
                answer = JSONResponse({"detail": "sign in first"}, 401)
        if scope["type"] == "websocket":
            await WebSocketClose(1011, "the store cannot be asked")(scope, receive, send)
            return
        await answer(scope, receive, send)


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith(OPEN_BELOW)


class SignIn:
    """The form at `PLACE`, as one route for GET and POST."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def answer(self, request: Request) -> Response:
        if request.method != "POST":
            return _form()
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            return _form("This form was sent from another site.", status=403)
        length = request.headers.get("content-length", "")
        if not length.isdigit() or int(length) > LARGEST_FORM:
            return _form("The form is too large.", status=413)
        async with request.form(max_files=0, max_fields=4) as given:
            name, password = str(given.get("name", "")), str(given.get("password", ""))
        address = request.client.host if request.client else ""
        tries: list[tuple[RateLimitItem, str]] = [
            (PER_ADDRESS_AND_NAME, f"{address} {folded(name)}"),
            (PER_ADDRESS, address),
            (PER_NAME, folded(name)),
        ]
        if self._waiting >= MOST_WAITING or not all(limiter.test(*one) for one in tries):
            return _form(TOO_OFTEN, name, 429)
        # Counted before it is known to be wrong: many at once must not all be let through.
        for one in tries:
            limiter.hit(*one)
        about = settings()
        store = partial(open_store, about.store, about.database, about.files)
        self._waiting += 1
        try:
            async with self._turn:
                token = await run_in_threadpool(lambda: sign_in(store(), name, password))
        except WrongPasswordError:
            return _form(WRONG, name, 403)
        except (StoreError, SQLAlchemyError) as error:
            log.warning("nobody can sign in: %s", error)
            return _form(NO_STORE, name, 503)
        finally:
            self._waiting -= 1
        limiter.clear(*tries[0])
        answer = RedirectResponse(_within(request.query_params.get("next", "/")), 303)
        answer.set_cookie(
            COOKIE,
            token,
            max_age=int(SIGNED_IN.total_seconds()),
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer


def _form(message: str = "", name: str = "", status: int = 200) -> Response:
    said = f'<p role="alert">{escape(message)}</p>' if message else ""
    page = PAGE.substitute(message=said, name=escape(name[:200]))
    return HTMLResponse(page, status, {"Cache-Control": "no-store"})


def _within(path: str) -> str:
    """The page that was asked for, of this server alone."""
    inside = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return quote(path, safe="/%?=&") if inside else "/"
