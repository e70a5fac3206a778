"""People sign in with an OpenID provider, here a real one that the test starts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from oidc_provider_mock import User, run_server_in_thread
from playwright.sync_api import expect

from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.people import command
from tests.stand_ins.server import Server, free_port, serving
from tests.web.dashboard import Dashboard

pytestmark = pytest.mark.browser

PEOPLE = (
    User(sub="1", claims={"email": "ada@plant.example", "email_verified": True}),
    User(sub="2", claims={"email": "eve@plant.example", "email_verified": True}),
    User(
        sub="3", claims={"email": "ada@plant.example", "email_verified": False}
    ),  # says she is Ada
)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("plant")
    write_bundle(folder / "weights", "casting", "resnet50")
    command(
        folder / "store", "accounts", "add", "ada@plant.example", "--role", "engineer", "--openid"
    )
    port = free_port()
    with run_server_in_thread(user_claims=PEOPLE) as provider:
        secrets = folder / "secrets.toml"
        secrets.write_text(
            f"""[auth]
redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
cookie_secret = "a secret of this test alone"
client_id = "defectvision"
client_secret = "another one"
server_metadata_url = "http://localhost:{provider.server_port}/.well-known/openid-configuration"
"""
        )
        more = {"DEFECTVISION_SIGN_IN": "openid", "STREAMLIT_SECRETS_FILES": str(secrets)}
        with serving(folder / "weights", folder / "log.txt", port, **more) as started:
            yield started


@pytest.fixture
def board(chromium, plant) -> Iterator[Dashboard]:
    dashboard = Dashboard(chromium, plant.url)
    yield dashboard
    dashboard.close()


def enter(board: Dashboard, subject: str) -> None:
    """As the person whom the provider knows under this subject."""
    board.page.goto(board.url)
    board.page.get_by_role("button", name="Sign in").click()
    board.page.get_by_role("textbox").first.fill(subject)
    board.page.get_by_role("button", name="Authorize").click()
    board.page.get_by_test_id("stMainBlockContainer").wait_for()
    board.settle()


def test_who_has_an_account_gets_in_under_the_name_that_the_provider_vouches_for(board) -> None:
    enter(board, "1")
    board.visit("access")
    # A word joiner, which nobody sees, keeps the address from becoming a link.
    mine = re.compile("You are ada\u2060?@plant.example, engineer")
    expect(board.page.get_by_text(mine)).to_be_visible()
    expect(board.page.get_by_role("tab", name="Accounts")).to_have_count(0)
    board.page.get_by_role("button", name="Sign out").click()
    board.page.wait_for_url(re.compile("end_session|logout"))  # the provider's, too, is ended
    board.page.goto(board.url)
    expect(board.page.get_by_role("button", name="Sign in")).to_be_visible()


@pytest.mark.parametrize(
    ("subject", "name"), [("2", "eve@plant.example"), ("3", "3")], ids=["unknown", "unverified"]
)
def test_who_has_none_does_not(board, subject, name) -> None:
    enter(board, subject)
    said = re.compile(f"You are signed in as {name}, and there is no".replace("@", "\u2060?@"))
    expect(board.page.get_by_text(said)).to_be_visible()
    expect(board.page.get_by_role("link", name="Results")).to_have_count(0)


def test_what_pages_give_and_take_is_closed_to_who_is_not_signed_in(board, plant) -> None:
    for path in ("media/x.png", "_stcore/upload_file/x/y"):
        assert board.page.request.get(f"{plant.url}/{path}").status == 401
    forged = {"Cookie": "_streamlit_user=eyJzdWIiOiAiMSJ9.x.y"}
    assert board.page.request.get(f"{plant.url}/media/x.png", headers=forged).status == 401
    enter(board, "1")
    assert board.page.request.get(f"{plant.url}/media/x.png").status == 404  # there is none


def test_an_account_that_is_ended_shuts_out_who_is_signed_in(board, plant) -> None:
    store = plant.weights.parent / "store"
    enter(board, "1")
    command(store, "accounts", "add", "root", "--role", "admin", "--openid")
    command(store, "accounts", "end", "ada@plant.example")
    board.visit("results")
    expect(board.page.get_by_text("there is no account of that name here")).to_be_visible()
    command(store, "accounts", "end", "--open-again", "ada@plant.example")
