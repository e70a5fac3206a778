"""Who is let in by name, and what browsers may do with what the server sends."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

# Streamlit's own page needs inline scripts and styles, evaluated code and workers from blobs.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' ws://{host} wss://{host} blob: data:; "
    "worker-src 'self' blob:; frame-src 'self' blob: data:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'self'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
}


class Guard:
    """ASGI middleware: refuses requests to a name that is not this server's, which a page from
    elsewhere could have made to mean this machine, and adds the headers that tell browsers to
    show nothing of it inside other sites and to load nothing from elsewhere.

    address: what the server listens on; names: further ones that it is known by.
    """

    def __init__(self, app: ASGIApp, address: str, names: Iterable[str] = ()):
        self.app = app
        self._known = {"localhost", "127.0.0.1", "::1", address.lower(), *map(str.lower, names)}
        self._any_number = address in ("", "0.0.0.0", "::")  # it is only compared
        if self._any_number or not is_loopback(address):
            own = socket.gethostname().lower()
            self._known |= {own, own.partition(".")[0], socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).getlist("host")
        host = given[0] if len(given) == 1 else ""
        if not self.knows(host):
            refusal = (
                WebSocketClose(1008, "unknown host")
                if scope["type"] == "websocket"
                else JSONResponse(
                    {
                        "detail": "this server is not known by the name in the address. Whoever "
                        "runs it can add the name to DEFECTVISION_HOSTS"
                    },
                    421,
                    HEADERS,
                )
            )
            await refusal(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", POLICY.format(host=host))
            await send(message)

        await self.app(scope, receive, guarded)

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server, whatever the port."""
        name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.split(":")[0]
        name = name.lower().rstrip(".")
        return name in self._known or (self._any_number and _is_number(name))


def _is_number(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Whether an address or a name is of this machine alone."""
    return address == "localhost" or (_is_number(address) and ip_address(address).is_loopback)
