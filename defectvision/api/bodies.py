"""How much the bodies of all requests that are being answered hold together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException, Request

from defectvision.settings import settings

TOGETHER = 2  # times the largest body


class Bodies:
    """Told from the lengths that requests state, before anything of a body is read. For the one
    thread of an event loop."""

    def __init__(self) -> None:
        self.taken = 0

    @contextmanager
    def holding(self, request: Request) -> Iterator[None]:
        """Around the answer to a request; raises HTTPException where its body, or what all hold
        with it, is too much."""
        largest = settings().max_upload_mb << 20
        if "transfer-encoding" in request.headers:
            raise HTTPException(411, "give a Content-Length")
        stated = request.headers.get("content-length", "")
        length = int(stated) if stated.isdigit() else 0
        if length > largest:
            raise HTTPException(413, f"more than {largest >> 20} MB")
        if self.taken and self.taken + length > TOGETHER * largest:
            said = "other requests hold as much as the server takes at a time; ask again"
            raise HTTPException(503, said, {"Retry-After": "5"})
        self.taken += length
        try:
            yield
        finally:
            self.taken -= length
