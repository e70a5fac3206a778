"""Who gets into the REST API, and what is read of a request before that is known."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from defectvision.api import access
from defectvision.api.access import MOST_WAITING, SLOW_SECONDS, WRONG_TOKENS
from defectvision.api.app import api
from defectvision.settings import settings

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
