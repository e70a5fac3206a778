"""Who acts, and what they may do: the roles, and the actions that the core asks them for.

Every function that changes what is kept for others carries `needs`, and takes the person who does
it as `who`; nothing is done for somebody who may not, whichever page, route or command asks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from typing import ParamSpec, TypeVar

LONGEST_NAME = 200  # characters, of the columns that keep one
P = ParamSpec("P")
R = TypeVar("R")


class NotAllowedError(RuntimeError):
    """Somebody who may not asked for it; the message says who, what, and who can change that."""


class Action(StrEnum):
    """What a person can be allowed to do. Also the scopes of tokens for the REST API."""

    LOOK = "look"
    INSPECT = "inspect"
    BATCH = "batch"
    DECIDE = "decide"
    RELEASE = "release"
    POLICY = "policy"
    TEACH = "teach"
    DELETE = "delete"
    ACCESS = "access"

    @property
    def words(self) -> str:
        return WORDS[self]


WORDS = {
    Action.LOOK: "look at results, pictures, labelled sets, lines and the audit trail",
    Action.INSPECT: "inspect single images",
    Action.BATCH: "start batches, pause, resume, finish and cancel them",
    Action.DECIDE: "decide on parts, label images, and take own decisions back",
    Action.RELEASE: "release lots",
    Action.POLICY: "put a policy or a bundle in force",
    Action.TEACH: "train lines and bundles, evaluate, import and export them",
    Action.DELETE: "delete batches and evaluations, and confirm the removal of files",
    Action.ACCESS: "make and end accounts and tokens",
}


class Role(StrEnum):
    """What an account is for; each role may do what those before it may."""

    VIEWER = "viewer"
    INSPECTOR = "inspector"
    ENGINEER = "engineer"
    ADMIN = "admin"

    @property
    def may(self) -> frozenset[Action]:
        return MAY[self]


_LOOKING = frozenset({Action.LOOK})
_INSPECTING = _LOOKING | {Action.INSPECT, Action.BATCH, Action.DECIDE}
_ENGINEERING = _INSPECTING | {Action.RELEASE, Action.POLICY, Action.TEACH}
MAY = {
    Role.VIEWER: _LOOKING,
    Role.INSPECTOR: _INSPECTING,
    Role.ENGINEER: _ENGINEERING,
    Role.ADMIN: frozenset(Action),
}


@dataclass(frozen=True)
class Person:
    """Who acts. name: under which it is kept; empty until it is given, where nobody signs in.
    actions: what they may do. title: their role, in words."""

    name: str
    actions: frozenset[Action]
    title: str

    @property
    def kept_as(self) -> str:
        """The name as the store keeps it."""
        return self.name[:LONGEST_NAME] or "unnamed"

    def may(self, action: Action) -> bool:
        return action in self.actions

    def refusal(self, action: Action) -> str:
        """Why they may not, and who can change it."""
        return (
            f"{self.name or 'somebody without a name'} ({self.title}) may not {action.words}. "
            "An admin can change that on the Access page"
        )

    def must(self, action: Action) -> None:
        """Raises NotAllowedError where they may not."""
        if not self.may(action):
            raise NotAllowedError(self.refusal(action))


def unproven(name: str) -> Person:
    """Somebody on a machine where nobody signs in, who may do everything."""
    return Person(name.strip(), frozenset(Action), "not signed in")


def in_role(name: str, role: Role) -> Person:
    return Person(name, role.may, role.value)


GUARDED: dict[str, Action] = {}  # functions that `needs` guards, by module and name


def needs(action: Action) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function only be called for a person, its argument `who`, who may do `action`; it
    raises NotAllowedError before anything else otherwise."""

    def guard(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        GUARDED[f"{function.__module__}.{function.__qualname__}"] = action

        @wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            who: Person = signature.bind(*args, **kwargs).arguments["who"]
            who.must(action)
            return function(*args, **kwargs)

        return guarded

    return guard
