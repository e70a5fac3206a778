"""Who may ask, how often, and what a refusal looks like."""

from __future__ import annotations

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


bearer = HTTPBearer(auto_error=False, description="A token of DEFECTVISION_API_TOKENS")


def refused(status: int, detail: str, **headers: str) -> HTTPException:
    return HTTPException(status, as_text(detail), headers=headers or None)


def caller(
    request: Request,
    authorization: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> str:
    """The name of the token that came along; 401 without one, 429 beyond its rate. A parameter
    that does not exist is refused, too: a filter with a slip of the pen would filter nothing."""
    about = settings()
    given = authorization.credentials.encode() if authorization else b""
    names = [
        name
        for name, token in about.api_tokens.items()
        if hmac.compare_digest(token.get_secret_value().encode(), given)
    ]
    if not names:
        said = (
            "give a token: Authorization: Bearer <token>"
            if about.api_tokens
            else "no token is set up: whoever runs the server sets DEFECTVISION_API_TOKENS"
        )
        raise refused(401, said, **{"WWW-Authenticate": "Bearer"})
    if not limiter.hit(RateLimitItemPerMinute(about.api_per_minute), names[0]):
        raise refused(
            429,
            f"more than {about.api_per_minute} requests a minute; wait",
            **{"Retry-After": "60"},
        )
    known = {field.alias for field in request.scope["route"].dependant.query_params}
    if unknown := sorted(set(request.query_params) - known):
        raise refused(400, f"no parameter '{unknown[0]}'; known are: {', '.join(sorted(known))}")
    for name in set(request.query_params) - REPEATED:
        if len(request.query_params.getlist(name)) > 1:
            raise refused(400, f"parameter '{name}' stands twice")
    return names[0]


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
