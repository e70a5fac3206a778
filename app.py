"""The dashboard as one ASGI app: `streamlit run app.py`, or `defectvision serve`."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event, Thread

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from defectvision import logs
from defectvision.settings import SettingsError, settings, the_store
from defectvision.web.door.provider import no_provider
from defectvision.web.door.start import cannot_start
from defectvision.web.guard import Guard
from defectvision.web.script.failure import explain
from defectvision.web.silence import close_silent_connections

try:
    settings()
except SettingsError as error:
    sys.exit(f"error: {error}")
logs.set_up(settings().log, dated=True)
said = cannot_start(st.get_option("server.address") or "", settings())
if settings().sign_in == "openid":
    said = said or no_provider()
if said:
    sys.exit(f"error: {said}")
close_silent_connections()
os.umask(0o077)  # what this process writes is for its owner alone


@asynccontextmanager
async def lifespan(_app: object) -> AsyncIterator[None]:
    """Work on batches while the server runs, whether or not a browser looks."""
    stop = Event()
    logs.set_up(settings().log, dated=True)  # once more, for what was imported since

    def work() -> None:
        # Imported here, in the background: the first page does not wait for a database.
        from defectvision.batch.worker import work_forever

        work_forever(the_store, settings().weights, settings().limits, stop)

    Thread(target=work, name="batches", daemon=True).start()
    yield
    stop.set()


async def rest(scope: Scope, receive: Receive, send: Send) -> None:
    """The REST API, imported when somebody calls it for the first time."""
    from defectvision.api.app import api

    await api(scope, receive, send)


def to_inspect(request: Request) -> RedirectResponse:
    """The first page has no name in its address; who enters one as for the others gets there."""
    return RedirectResponse(f"./?{request.url.query}")


routes: list[BaseRoute] = [Mount("/api", app=rest), Route("/inspect", to_inspect)]
middleware = [
    Middleware(
        Guard,
        st.get_option("server.address") or "",
        [*settings().hosts, st.get_option("browser.serverAddress")],
    )
]
if settings().sign_in in ("accounts", "openid"):
    # Imported here: without a sign-in the first page does not wait for a database.
    from defectvision.web.door import door
    from defectvision.web.door.sign_in import SignIn

    if settings().sign_in == "accounts":
        routes.append(Route(door.FORM, SignIn().answer, methods=["GET", "POST"]))
        middleware.append(Middleware(door.Door, door.of_account, door.opens_with_account))
    else:
        middleware.append(Middleware(door.Door, door.of_provider, door.opens_with_provider))
app = st.App(
    Path(__file__).resolve().parent / "defectvision/web/script/navigation.py",
    lifespan=lifespan,
    routes=routes,
    on_script_error=explain,
    middleware=middleware,
)
