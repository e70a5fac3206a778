"""The form to sign in with an account of the store."""

from __future__ import annotations

import asyncio
import logging
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote, urlsplit

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from defectvision.settings import the_store
from defectvision.store.accounts import SIGNED_IN, WrongPasswordError, folded, sign_in
from defectvision.store.errors import StoreError
from defectvision.web.door.door import COOKIE, NO_STORE

LARGEST_FORM = 4096  # bytes

PAGE = Template(Path(__file__).with_name("sign_in.html").read_text(encoding="utf-8"))
WRONG = "Name and password do not belong together."
TOO_OFTEN = "Too many wrong passwords. Wait a minute, then try again."

log = logging.getLogger(__name__)
limiter = MovingWindowRateLimiter(MemoryStorage())
PER_ADDRESS_AND_NAME = RateLimitItemPerMinute(5)
PER_ADDRESS = RateLimitItemPerHour(1000)  # of a whole shift behind one proxy
PER_NAME = RateLimitItemPerHour(200)
# Each check of a password takes 64 MiB and a tenth of a second of all cores.
AT_ONCE = 2
MOST_WAITING = 20


class SignIn:
    """The form, as one route for GET and POST."""

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
        self._waiting += 1
        try:
            async with self._turn:
                token = await run_in_threadpool(lambda: sign_in(the_store(), name, password))
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
