"""Who gets into the REST API, and what is read of a request before that is known."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from defectvision.api import access
from defectvision.api.access import (
    MOST_WAITING,
    SLOW_SECONDS,
    WRONG_TOKENS,
    need_of,
)
from defectvision.api.app import ROUTES as ALL
from defectvision.api.app import api
from defectvision.people import Action, Person, Role, in_role
from defectvision.settings import settings, the_store
from defectvision.store import tokens

RIGHT = {"Authorization": "Bearer secret-of-mes"}


@pytest.fixture(autouse=True)
def about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("DEFECTVISION_API_TOKENS", '{"mes": "secret-of-mes"}')
    settings.cache_clear()
    access.limiter.storage.reset()
    yield
    settings.cache_clear()
    access.limiter.storage.reset()


@pytest.fixture
def client() -> TestClient:
    return TestClient(api, raise_server_exceptions=False)


@pytest.mark.parametrize("authorization", [None, b"Bearer ", b"Bearer wrong", b"Basic c2VjcmV0"])
@pytest.mark.parametrize("path", ["/v1/uploads", "/v1/inspect", "/v1/batches", "/v1/nothing"])
def test_nothing_of_a_body_is_read_before_the_token_is_right(path, authorization) -> None:
    answers: list[dict] = []

    async def receive() -> dict:
        raise AssertionError("the body was read")

    async def send(message: dict) -> None:
        answers.append(message)

    headers = [(b"content-type", b"multipart/form-data; boundary=b"), (b"content-length", b"90")]
    headers += [(b"authorization", authorization)] if authorization else []
    scope = {
        "type": "http", "method": "POST", "path": path, "root_path": "", "query_string": b"",
        "headers": headers, "client": ("192.0.2.1", 1), "scheme": "http", "server": ("x", 1),
    }  # fmt: skip
    asyncio.run(api(scope, receive, send))
    assert answers[0]["status"] == 401


def test_wrong_tokens_are_slowed_and_a_right_one_still_gets_in(client) -> None:
    def ask(token: str) -> int:
        return client.get("/v1/lines", headers={"Authorization": f"Bearer {token}"}).status_code

    assert [ask(f"guess-{i}") for i in range(WRONG_TOKENS.amount)] == [401] * WRONG_TOKENS.amount
    started = time.monotonic()
    assert [ask(f"again-{i}") for i in range(3)] == [401] * 3
    assert time.monotonic() - started >= 3 * SLOW_SECONDS
    assert ask("secret-of-mes") == 200


def test_who_guesses_with_many_hands_is_turned_away(monkeypatch) -> None:
    async def guess(number: int) -> int:
        answers: list[dict] = []

        async def receive() -> dict:
            return {"type": "http.request", "body": b""}

        async def send(message: dict) -> None:
            answers.append(message)

        scope = {
            "type": "http", "method": "GET", "path": "/v1/lines", "root_path": "",
            "query_string": b"", "client": ("192.0.2.2", 1), "scheme": "http", "server": ("x", 1),
            "headers": [(b"authorization", b"Bearer guess-%d" % number)],
        }  # fmt: skip
        await api(scope, receive, send)
        return answers[0]["status"]

    async def all_at_once() -> list[int]:
        for i in range(WRONG_TOKENS.amount):
            await guess(i)
        return await asyncio.gather(*(guess(i) for i in range(MOST_WAITING + 10)))

    monkeypatch.setattr(access, "SLOW_SECONDS", 0.01)
    statuses = asyncio.run(all_at_once())
    assert (statuses.count(401), statuses.count(429)) == (MOST_WAITING, 10)


def test_who_asks_without_any_token_is_told_at_once(client) -> None:
    started = time.monotonic()
    assert {client.get("/v1/lines").status_code for _ in range(20)} == {401}
    assert time.monotonic() - started < SLOW_SECONDS * 10
    assert client.get("/v1/health").json()["parts"]["database"] == "ok"


ROLES = {role: in_role("eve", role).actions for role in Role}
# What is asked of each route: its path's numbers, and a body that it takes.
NUMBERS = {"number": "1", "digest": "0" * 64, "kind": "record"}
BODIES: dict[tuple[str, str], dict] = {
    ("POST", "/v1/inspect"): {
        "files": {"file": ("a.png", b"no image")}, "data": {"line": "casting"},
    },
    ("POST", "/v1/batches"): {"json": {"line": "casting", "path": "/nowhere"}},
    ("POST", "/v1/uploads"): {
        "files": {"files": ("a.png", b"no image")}, "data": {"line": "casting"},
    },
    ("POST", "/v1/batches/{number}/state"): {"json": {"state": "paused"}},
    ("POST", "/v1/inspections/{number}/reviews"): {"json": {"decision": "unusable"}},
}  # fmt: skip
ROUTES = [(method, route) for route in ALL for method in sorted(route.methods - {"HEAD"})]


@pytest.fixture
def admin() -> Person:
    return in_role("root", Role.ADMIN)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("method, route", ROUTES, ids=lambda part: getattr(part, "path", part))
def test_each_route_opens_to_who_may_and_to_nobody_else(
    method: str, route: APIRoute, role: Role, client: TestClient, admin: Person
) -> None:
    with the_store().session() as session:
        token = tokens.make_token(session, admin, f"a {role}", ROLES[role], 1)
    path = re.sub(r"{(\w+)}", lambda found: NUMBERS[found[1]], route.path)
    body = BODIES.get((method, route.path), {})
    assert method != "POST" or body, "say what this route is to be asked"
    answer = client.request(method, path, headers={"Authorization": f"Bearer {token}"}, **body)
    action = need_of(route)
    if action is None:
        assert route.path == "/v1/health"
    elif action in ROLES[role]:
        # 403 of a path outside the source roots, which is no matter of roles
        assert answer.status_code not in (401, 403) or "source root" in answer.text.lower()
    else:
        assert answer.status_code == 403 and "may not" in answer.json()["detail"]


def test_what_changes_something_asks_for_more_than_looking() -> None:
    for method, route in ROUTES:
        assert (need_of(route) in (Action.LOOK, None)) == (method == "GET"), route.path


def test_a_token_without_the_scope_is_refused_before_the_body_is_read(client, admin) -> None:
    with the_store().session() as session:
        token = tokens.make_token(session, admin, "reader", [Action.LOOK], 1)
    answers: list[dict] = []

    async def receive() -> dict:
        raise AssertionError("the body was read")

    async def send(message: dict) -> None:
        answers.append(message)

    headers = [(b"content-type", b"multipart/form-data; boundary=b"), (b"content-length", b"90"),
               (b"authorization", f"Bearer {token}".encode())]  # fmt: skip
    scope = {
        "type": "http", "method": "POST", "path": "/v1/uploads", "root_path": "",
        "query_string": b"", "headers": headers, "client": ("192.0.2.1", 1), "scheme": "http",
        "server": ("x", 1),
    }  # fmt: skip
    asyncio.run(api(scope, receive, send))
    assert answers[0]["status"] == 403


def test_an_ended_token_opens_nothing_from_the_next_request_on(client, admin) -> None:
    with the_store().session() as session:
        token = tokens.make_token(session, admin, "mes 2", [Action.LOOK], 1)
    asked = {"Authorization": f"Bearer {token}"}
    assert client.get("/v1/lines", headers=asked).status_code == 200
    with the_store().session() as session:
        tokens.end_token(session, admin, "mes 2")
    assert client.get("/v1/lines", headers=asked).status_code == 401


def test_a_store_that_is_away_is_said_and_opens_nothing(client, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("DEFECTVISION_DATABASE", "postgresql://nobody@127.0.0.1:1/none")
    settings.cache_clear()
    answer = client.get("/v1/lines", headers={"Authorization": "Bearer dv_whatever"})
    assert answer.status_code == 503 and "store" in answer.json()["detail"]
    assert "postgresql" not in answer.text
    assert client.get("/v1/lines", headers=RIGHT).status_code == 200  # of the settings
