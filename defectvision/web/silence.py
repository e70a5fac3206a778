"""Close connections that say nothing: a few thousand of them would take all that a process has."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# For the head of a request in all, and between two pieces of its body.
SECONDS = 20.0

_waiting: WeakKeyDictionary[H11Protocol, asyncio.TimerHandle] = WeakKeyDictionary()


def close_silent_connections() -> None:
    """Watch the connections of this process from now on. Uvicorn has a limit of time for the pause
    between two requests alone, and Streamlit, which starts it, no place for another protocol."""

    def watched(name: str) -> None:
        before = getattr(H11Protocol, name)

        def method(self: H11Protocol, *args: Any) -> None:
            before(self, *args)
            _watch(self)

        setattr(H11Protocol, name, method)

    for name in ("connection_made", "data_received"):
        watched(name)


def _watch(connection: H11Protocol) -> None:
    """Start or stop the clock, by what is waited for."""
    state, running = connection.conn.their_state, _waiting.get(connection)
    if running is not None and state is h11.IDLE:
        return  # the head has its time in all, however it comes
    if running is not None:
        running.cancel()
        del _waiting[connection]
    ours = connection.transport.get_protocol() is connection  # a WebSocket has one of its own
    if ours and state in (h11.IDLE, h11.SEND_BODY):
        clock = connection.loop.call_later(SECONDS, _close, connection)
        _waiting[connection] = clock


def _close(connection: H11Protocol) -> None:
    _waiting.pop(connection, None)
    if connection.conn.their_state in (h11.IDLE, h11.SEND_BODY):
        connection.transport.close()
