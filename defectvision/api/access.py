"""Who may ask, how often, and what a refusal looks like."""

from __future__ import annotations

import asyncio
import hmac
import logging
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
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute

from defectvision.api.schemas import Failure
from defectvision.people import Action, Person
from defectvision.settings import settings, the_store
from defectvision.store.errors import StoreError
from defectvision.store.tokens import who_shows
from defectvision.words import as_text

NO_STORE = "whose token this is cannot be looked up: the store does not answer. Ask again later"
REPEATED = {"verdict", "class"}  # parameters that may stand several times

log = logging.getLogger(__name__)
limiter = MovingWindowRateLimiter(MemoryStorage())
# From one address; each request from there then waits its turn before its token is looked at.
WRONG_TOKENS = RateLimitItemPerMinute(5)
SLOW_SECONDS = 0.5
MOST_WAITING = 20

bearer = HTTPBearer(
    auto_error=False, description="A token of the Access page, or one of DEFECTVISION_API_TOKENS"
)


def refused(status: int, detail: str, **headers: str) -> HTTPException:
    return HTTPException(status, as_text(detail), headers=headers or None)


class Needs:
    """What a route asks for. As a dependency it gives the person whom `Door` has let in."""

    def __init__(self, action: Action):
        self.action = action

    def __call__(
        self,
        request: Request,
        _described: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    ) -> Person:
        """A parameter that does not exist is refused: a filter with a slip of the pen would filter
        nothing."""
        known = {field.alias for field in request.scope["route"].dependant.query_params}
        if unknown := sorted(set(request.query_params) - known):
            known_ones = ", ".join(sorted(known))
            raise refused(400, f"no parameter '{unknown[0]}'; known are: {known_ones}")
        for name in set(request.query_params) - REPEATED:
            if len(request.query_params.getlist(name)) > 1:
                raise refused(400, f"parameter '{name}' stands twice")
        who: Person = request.state.who
        return who


def need_of(route: BaseRoute) -> Action | None:
    """What a route asks of who calls it; None of those that are open to everybody."""
    dependant = getattr(route, "dependant", None)
    asked = [one.call for one in dependant.dependencies] if dependant else []
    found = [one.action for one in asked if isinstance(one, Needs)]
    return found[0] if found else None


Looks = Annotated[Person, Depends(Needs(Action.LOOK))]
Inspects = Annotated[Person, Depends(Needs(Action.INSPECT))]
Batches = Annotated[Person, Depends(Needs(Action.BATCH))]
Decides = Annotated[Person, Depends(Needs(Action.DECIDE))]


class Door:
    """Looks at tokens and what they may do, before anything of a request's body is read."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def admit(self, request: Request, action: Action | None) -> Person:
        """Whose token came along; 401 without one, 403 where it may not do `action`, 429 beyond
        its rate, 503 where the store cannot be asked."""
        about = settings()
        authorization = await bearer(request)
        given = authorization.credentials if authorization else ""
        address = request.client.host if request.client else ""
        if given and not limiter.test(WRONG_TOKENS, "wrong", address):
            await self._slow_down()
        who = _of_settings(given)
        if who is None and given:
            try:
                who = await run_in_threadpool(lambda: who_shows(the_store(), given))
            except (StoreError, SQLAlchemyError) as error:
                # Where the store lies is told to nobody who has not shown a good token.
                log.warning("a token cannot be looked up: %s", error)
                raise refused(503, NO_STORE, **{"Retry-After": "5"}) from error
        if who is None:
            if given:
                limiter.hit(WRONG_TOKENS, "wrong", address)
            said = (
                "give a token that is good: Authorization: Bearer <token>. An admin makes one on "
                "the Access page"
            )
            raise refused(401, said, **{"WWW-Authenticate": "Bearer"})
        if not limiter.hit(RateLimitItemPerMinute(about.api_per_minute), who.name):
            raise _too_often(f"more than {about.api_per_minute} requests a minute; wait")
        if action is not None and not who.may(action):
            raise refused(403, who.refusal(action))
        return who

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


def _of_settings(given: str) -> Person | None:
    """The person of a token of DEFECTVISION_API_TOKENS, which has all scopes."""
    names = [
        name
        for name, token in settings().api_tokens.items()
        if hmac.compare_digest(token.get_secret_value().encode(), given.encode())
    ]
    return Person(names[0], frozenset(Action), "a token of the settings") if names else None


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
