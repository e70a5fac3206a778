"""Who may ask, how often, and what a refusal looks like."""

from __future__ import annotations

import asyncio
import hmac
from typing import Annotated, Any

from fastapi import (
    Depends,
    HTTPException,
    Request,
)
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from defectvision.api.schemas import Failure
from defectvision.settings import settings
from defectvision.words import as_text

REPEATED = {"verdict", "class"}  # parameters that may stand several times

limiter = MovingWindowRateLimiter(MemoryStorage())
# From one address; each request from there then waits its turn before its token is looked at.
WRONG_TOKENS = RateLimitItemPerMinute(5)
SLOW_SECONDS = 0.5
MOST_WAITING = 20

bearer = HTTPBearer(auto_error=False, description="A token of DEFECTVISION_API_TOKENS")


def refused(status: int, detail: str, **headers: str) -> HTTPException:
    return HTTPException(status, as_text(detail), headers=headers or None)


class Door:
    """Looks at tokens, before anything of a request's body is read."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def admit(self, request: Request) -> str:
        """The name of the token that came along; 401 without one, 429 beyond its rate."""
        about = settings()
        authorization = await bearer(request)
        given = authorization.credentials.encode() if authorization else b""
        address = request.client.host if request.client else ""
        if given and not limiter.test(WRONG_TOKENS, "wrong", address):
            await self._slow_down()
        names = [
            name
            for name, token in about.api_tokens.items()
            if hmac.compare_digest(token.get_secret_value().encode(), given)
        ]
        if not names:
            if given:
                limiter.hit(WRONG_TOKENS, "wrong", address)
            said = (
                "give a token: Authorization: Bearer <token>"
                if about.api_tokens
                else "no token is set up: whoever runs the server sets DEFECTVISION_API_TOKENS"
            )
            raise refused(401, said, **{"WWW-Authenticate": "Bearer"})
        if not limiter.hit(RateLimitItemPerMinute(about.api_per_minute), names[0]):
            raise _too_often(f"more than {about.api_per_minute} requests a minute; wait")
        return names[0]

    async def _slow_down(self) -> None:
        if self._waiting >= MOST_WAITING:
            raise _too_often("too many wrong tokens came from this address; wait")
        self._waiting += 1
        try:
            async with self._turn:
                await asyncio.sleep(SLOW_SECONDS)
        finally:
            self._waiting -= 1


def _too_often(detail: str) -> HTTPException:
    return refused(429, detail, **{"Retry-After": "60"})


def caller(
    request: Request,
    _described: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> str:
    """The name of the token, which `Door` has let in. A parameter that does not exist is refused:
    a filter with a slip of the pen would filter nothing."""
    known = {field.alias for field in request.scope["route"].dependant.query_params}
    if unknown := sorted(set(request.query_params) - known):
        raise refused(400, f"no parameter '{unknown[0]}'; known are: {', '.join(sorted(known))}")
    for name in set(request.query_params) - REPEATED:
        if len(request.query_params.getlist(name)) > 1:
            raise refused(400, f"parameter '{name}' stands twice")
    who: str = request.state.who
    return who


Who = Annotated[str, Depends(caller)]

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Failure},
    401: {"model": Failure},
    403: {"model": Failure},
    404: {"model": Failure},
    413: {"model": Failure},
    429: {"model": Failure},
    503: {"model": Failure},
}

CONFLICT: dict[int | str, dict[str, Any]] = {409: {"model": Failure}}
