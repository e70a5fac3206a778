"""The door in front of the pages, as programs and browsers without a sign-in meet it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from defectvision.people import Role, in_role
from defectvision.settings import Settings, settings
from defectvision.store import accounts
from defectvision.store.database import open_store
from defectvision.web.access import sign_in
from defectvision.web.access.door import COOKIE, Door, of_account, opens_with_account
from defectvision.web.access.door import FORM as PLACE
from defectvision.web.access.sign_in import TOO_OFTEN, WRONG, SignIn
from defectvision.web.access.start import cannot_start

WORD = "correct horse battery"


async def secret(request: Request) -> PlainTextResponse:
    return PlainTextResponse("pictures of parts")


async def socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("pictures of parts")
    await socket.close()


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    settings.cache_clear()
    with open_store(settings().store).session() as session:
        admin = in_role("root", Role.ADMIN)
        accounts.add_account(session, admin, "root", Role.ADMIN, WORD)
        accounts.add_account(session, admin, "anna", Role.VIEWER, WORD)
    sign_in.limiter.storage.reset()
    app = Starlette(
        routes=[
            Route(PLACE, SignIn().answer, methods=["GET", "POST"]),
            WebSocketRoute("/_stcore/stream", socket),
            Mount("/", app=Starlette(routes=[Route("/{path:path}", secret)])),
        ],
        middleware=[Middleware(Door, of_account, opens_with_account)],
    )
    yield TestClient(app, follow_redirects=False)
    sign_in.limiter.storage.reset()


def enter(client: TestClient, name: str = "anna", password: str = WORD, place: str = PLACE):
    return client.post(place, data={"name": name, "password": password})


@pytest.mark.parametrize(
    "path", ["/", "/results", "/media/a.png", "/_stcore/upload_file/x", "/component/x", "/sign-in/"]
)
def test_without_a_sign_in_nothing_is_shown(client, path) -> None:
    answer = client.get(path)
    assert answer.status_code == 401 and "pictures" not in answer.text
    page = client.get(path, headers={"Accept": "text/html"})
    assert page.status_code == 303 and page.headers["location"].startswith("/sign-in?next=/")
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/_stcore/stream"):
        pass


def test_with_one_everything_is_and_after_its_end_nothing(client) -> None:
    form = client.get("/results?batch=1&image=2", headers={"Accept": "text/html"})
    answer = enter(client, place=form.headers["location"])
    assert (answer.status_code, answer.headers["location"]) == (303, "/results?batch=1&image=2")
    about = answer.headers["set-cookie"].lower()
    assert "httponly" in about and "samesite=lax" in about and "max-age=43200" in about
    assert client.get("/results").text == "pictures of parts"
    with client.websocket_connect("/_stcore/stream") as stream:
        assert stream.receive_text() == "pictures of parts"
    with open_store(settings().store).session() as session:
        accounts.end_account(session, in_role("root", Role.ADMIN), "anna")
    assert client.get("/results").status_code == 401


def test_over_tls_the_cookie_is_for_tls_alone(client) -> None:
    client.base_url = "https://testserver"
    assert "secure" in enter(client).headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "place",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil",
        "x",
        "/a\r\nSet-X: 1",
    ],
)
def test_the_way_back_stays_on_this_server(client, place) -> None:
    answer = client.post(PLACE, params={"next": place}, data={"name": "anna", "password": WORD})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    ("name", "password"), [("anna", "wrong"), ("nobody", WORD), ("", ""), ("<b>x</b>", WORD)]
)
def test_what_is_wrong_is_not_said(client, name, password) -> None:
    answer = enter(client, name, password)
    assert answer.status_code == 403 and WRONG in answer.text and COOKIE not in answer.cookies
    assert "<b>" not in answer.text
    assert "no-store" in answer.headers["cache-control"]


def test_guesses_are_stopped_and_others_still_get_in(client) -> None:
    codes = [enter(client, "anna", f"guess {i}").status_code for i in range(8)]
    assert codes[:5] == [403] * 5 and set(codes[5:]) == {429}
    assert TOO_OFTEN in enter(client, "anna", WORD).text, "the right one, too, for a minute"
    assert enter(client, "root", WORD).status_code == 303


def test_a_form_from_elsewhere_or_too_large_is_not_read(client) -> None:
    data = {"name": "anna", "password": WORD}
    there = client.post(PLACE, data=data, headers={"Origin": "https://evil.example"})
    assert there.status_code == 403 and COOKIE not in there.cookies
    assert client.post(PLACE, data=data | {"more": "x" * 5000}).status_code == 413
    assert client.post(PLACE, content=iter([b"name=anna"])).status_code == 413  # no length given


def test_a_store_that_is_away_lets_nobody_in_and_says_no_more(client, monkeypatch) -> None:
    assert enter(client).status_code == 303
    monkeypatch.setenv("DEFECTVISION_DATABASE", "postgresql://nobody@127.0.0.1:1/none")
    settings.cache_clear()
    for answer in (client.get("/results"), enter(client)):
        assert answer.status_code == 503 and "does not answer" in answer.text
        assert "postgresql" not in answer.text and "pictures" not in answer.text


@pytest.mark.parametrize(
    ("address", "how", "starts"),
    [
        ("127.0.0.1", "", True),
        ("localhost", "", True),
        ("::1", "", True),
        ("127.8.8.8", "", True),
        ("0.0.0.0", "", False),
        ("::", "", False),
        ("", "", False),
        ("192.0.2.7", "", False),
        ("plant-pc", "", False),
        ("unix:///run/x.sock", "", False),
        ("0.0.0.0", "accounts", True),
        ("0.0.0.0", "anyone-may-do-everything", True),
    ],
)
def test_others_reach_only_a_server_that_knows_them(address, how, starts) -> None:
    said = cannot_start(address, Settings(sign_in=how))
    assert (said == "") is starts
    assert starts or "DEFECTVISION_SIGN_IN" in said
