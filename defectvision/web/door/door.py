"""The door in front of the pages: who is signed in comes in, and nobody else."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from defectvision.people import Person
from defectvision.settings import the_store
from defectvision.store.accounts import known_as, signed_in
from defectvision.store.errors import StoreError

COOKIE = "defectvision-sign-in"
FORM = "/sign-in"  # see sign_in.py
NO_STORE = "Nobody can sign in now: the store does not answer. Try again in a minute."
# The form; the API, which looks at tokens; whether the server is up; Streamlit's own files.
OPEN = (FORM, "/_stcore/health")
OPEN_BELOW = ("/api/", "/static/")
# With an OpenID provider the pages themselves show the way to it, and what is closed is what a
# page gives and takes.
CLOSED_BELOW = ("/media", "/_stcore/upload_file", "/component")

log = logging.getLogger(__name__)


def of_account(asked: HTTPConnection) -> Person | None:
    """Who is signed in with an account of the store; raises StoreError and SQLAlchemyError."""
    return person_of(asked.cookies.get(COOKIE, ""))


def person_of(token: str) -> Person | None:
    """Who is signed in with what their browser keeps; raises StoreError and SQLAlchemyError."""
    if not token:
        return None
    with the_store().reading() as session:
        return signed_in(session, token)


def of_provider(asked: HTTPConnection) -> Person | None:
    """Who is signed in with the OpenID provider and has an account here; raises StoreError and
    SQLAlchemyError. The cookie is Streamlit's, signed with the secret of its settings."""
    from streamlit.web.server.starlette.starlette_websocket import _get_signed_cookie_with_chunks

    content = _get_signed_cookie_with_chunks(dict(asked.cookies), "_streamlit_user")
    name = vouched_for(json.loads(content)) if content else ""
    if not name:
        return None
    with the_store().reading() as session:
        return known_as(session, name)


def vouched_for(claims: dict[str, Any]) -> str:
    """The name that an OpenID provider vouches for: the e-mail address where it says that it is
    verified, else the subject."""
    verified = claims.get("email_verified") is True
    return str((claims.get("email") if verified else None) or claims.get("sub") or "")


def opens_with_account(path: str) -> bool:
    return path in OPEN or path.startswith(OPEN_BELOW)


def opens_with_provider(path: str) -> bool:
    return not path.startswith(CLOSED_BELOW)


class Door:
    """ASGI middleware. who: asked by a request; is_open: paths that need nobody."""

    def __init__(
        self,
        app: ASGIApp,
        who: Callable[[HTTPConnection], Person | None],
        is_open: Callable[[str], bool],
    ):
        self.app, self._who, self._is_open = app, who, is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or self._is_open(scope["path"]):
            await self.app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        try:
            person = await run_in_threadpool(self._who, asked)
        except (StoreError, SQLAlchemyError) as error:
            log.warning("who is signed in cannot be looked up: %s", error)
            refusal: Response = Response(NO_STORE, 503, {"Retry-After": "5"})
        else:
            if person is not None:
                await self.app(scope, receive, send)
                return
            refusal = _refusal(scope, asked)
        if scope["type"] == "websocket":
            await WebSocketClose(1008, "sign in first")(scope, receive, send)
        else:
            await refusal(scope, receive, send)


def _refusal(scope: Scope, asked: HTTPConnection) -> Response:
    """The form for who looks for a page, and a plain no for all else."""
    if scope.get("method") == "GET" and "text/html" in asked.headers.get("accept", ""):
        wanted = asked.url.path + (f"?{asked.url.query}" if asked.url.query else "")
        there = f"{FORM}?next={quote(wanted, safe='/')}"
        return RedirectResponse(there, 303, {"Cache-Control": "no-store"})
    return JSONResponse({"detail": "sign in first"}, 401)
