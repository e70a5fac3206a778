"""A connection that says nothing, or stops in the middle, is closed; one that works is left."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from defectvision.web import silence
from tests.stand_ins.server import ROOT, free_port

SHORT = 0.6


async def slow(_request: Request) -> PlainTextResponse:
    await asyncio.sleep(2 * SHORT)  # the client waits: that is no silence of its own
    return PlainTextResponse("done")


async def body(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await asyncio.sleep(2 * SHORT)
    await socket.send_text("still here")
    await socket.close()


@contextmanager
def server() -> Iterator[int]:
    port = free_port()
    routes = [Route("/slow", slow), Route("/body", body, methods=["POST"]),
              WebSocketRoute("/socket", echo)]  # fmt: skip
    running = uvicorn.Server(
        uvicorn.Config(Starlette(routes=routes), port=port, log_level="error", lifespan="off")
    )
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield port
    running.should_exit = True
    thread.join()


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    from uvicorn.protocols.http.h11_impl import H11Protocol

    for name in ("connection_made", "data_received"):
        monkeypatch.setattr(H11Protocol, name, getattr(H11Protocol, name))  # put back after it
    monkeypatch.setattr(silence, "SECONDS", SHORT)
    silence.close_silent_connections()
    with server() as found:
        yield found


def heard(connection: socket.socket) -> bytes:
    """All that the server says until it closes."""
    said = b""
    while more := connection.recv(4096):
        said += more
    return said


def seconds_until_closed(port: int, *pieces: bytes, pause: float = 0.0) -> float:
    """How long the server keeps a connection that sends these pieces and then nothing."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        started = time.monotonic()
        for piece in pieces:
            try:
                connection.sendall(piece)
            except OSError:
                break
            time.sleep(pause)
        heard(connection)
        return time.monotonic() - started


HEAD = b"POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.parametrize(
    "pieces", [(), (b"GET / HT",), (b"GET /slow HTTP/1.1\r\nHost: x\r\n",), (HEAD,), (HEAD, b"x")]
)
def test_who_stops_in_the_middle_is_let_go(port, pieces) -> None:
    assert SHORT * 0.9 < seconds_until_closed(port, *pieces) < 5 * SHORT


def test_a_head_that_drips_in_has_no_more_time(port) -> None:
    drops = [bytes([letter]) for letter in b"GET /slow HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaaaa"]
    assert seconds_until_closed(port, *drops, pause=0.1) < 4 * SHORT


def test_a_body_that_comes_slowly_but_comes_is_read(port) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(HEAD.replace(b"100", b"8"))
        for _ in range(8):
            time.sleep(SHORT / 3)
            connection.sendall(b"x")
        assert heard(connection).endswith(b"8")


def test_a_slow_answer_and_a_socket_are_waited_for(port) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert heard(connection).endswith(b"done")
    upgrade = (
        b"GET /socket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(upgrade)
        assert b"101" in connection.recv(4096)
        assert b"still here" in connection.recv(4096)


def test_the_real_server_watches() -> None:
    said = "from uvicorn.protocols.http.h11_impl import H11Protocol as P; import app; "
    said += "print(P.data_received.__module__, P.connection_made.__module__)"
    done = subprocess.run([sys.executable, "-c", said], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == [silence.__name__] * 2, done.stderr
