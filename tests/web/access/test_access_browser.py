"""People sign in, and each page lets them do what their role allows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from defectvision.people import Action, Role
from defectvision.store.database import open_store
from defectvision.store.tables import ReviewRow
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.people import WORD, command, inspected_lot, sign_in, staffed
from tests.stand_ins.server import Server, serving
from tests.web.dashboard import Dashboard

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server where people sign in, with a lot to look at."""
    folder = tmp_path_factory.mktemp("plant")
    write_bundle(folder / "weights", "casting", "resnet50")
    staffed(folder / "store")
    inspected_lot(folder, folder / "weights", folder / "store")
    more = {"DEFECTVISION_SIGN_IN": "accounts"}
    with serving(folder / "weights", folder / "log.txt", **more) as started:
        yield started


@pytest.fixture
def board(chromium, plant) -> Iterator[Dashboard]:
    dashboard = Dashboard(chromium, plant.url)
    yield dashboard
    dashboard.close()


def enter(board: Dashboard, role: str, page: str = "access") -> None:
    sign_in(board.page, f"{board.url}/{page}", role)
    board.page.get_by_test_id("stMainBlockContainer").wait_for()
    board.settle()


def test_a_visitor_signs_in_and_lands_where_they_wanted(board) -> None:
    page = board.page
    page.goto(f"{board.url}/audit")
    expect(page).to_have_title("Sign in · DefectVision")
    page.keyboard.type("Inspector")  # the first field has the focus
    page.keyboard.press("Tab")
    page.keyboard.type("not the password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    page.get_by_label("Password").fill(WORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{board.url}/audit")
    board.settle()
    expect(page.get_by_text("Audit trail")).to_be_visible()
    board.visit("access")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are not signed in here any more")).to_be_visible()
    page.get_by_role("link", name="Sign in").click()
    expect(page).to_have_title("Sign in · DefectVision")


# What of each page shows that an action may be done: page, and the control's name.
CONTROLS = {
    Action.INSPECT: ("", "Try samples"),
    Action.BATCH: ("batches", "Start batch"),
    Action.DECIDE: ("review?batch=1", "Undo"),
    Action.TEACH: ("lines?new=line", "Start learning"),
    Action.ACCESS: ("access", "New account"),
}
# Those that are there for everybody, and refuse when they are opened: the opener, the control.
OPENED = {
    Action.POLICY: ("results?batch=1", "Put in force", "Save as the policy in force"),
    Action.RELEASE: ("results?batch=1", "Release", "Release the lot"),
    Action.DELETE: ("batches", "Delete", "Delete the batch"),
}


# What a page shows follows from the action, and one role may do none. Which role may do what is the
# matter of tests/store/test_roles.py.
@pytest.mark.parametrize(
    "role",
    [pytest.param(role, marks=[] if role == Role.VIEWER else pytest.mark.soak) for role in Role],
)
def test_each_page_lets_a_role_do_what_it_may(board, role) -> None:
    enter(board, role)
    page = board.page
    assert set(CONTROLS) | set(OPENED) | {Action.LOOK} == set(Action)
    for action, (place, name) in CONTROLS.items():
        board.visit(place)
        control = page.get_by_role("button", name=name)
        if action in role.may:
            expect(control.first).to_be_visible()
        else:
            if action != Action.ACCESS:
                expect(page.get_by_text(f"({role}) may not").first).to_be_visible()
            expect(control).to_have_count(0)
    for action, (place, opener, name) in OPENED.items():
        board.visit(place)
        if opener == "Put in force":
            board.set_threshold("Accept below", "0.111")
        page.get_by_role("button", name=opener, exact=True).click()
        page.get_by_role("textbox", name="Reason").last.fill("a trial")
        page.get_by_role("textbox", name="Reason").last.press("Enter")
        board.settle()
        control = page.get_by_role("button", name=name, exact=True)
        (expect(control).to_be_enabled if action in role.may else expect(control).to_be_disabled)()
        if action not in role.may:
            expect(page.get_by_text(f"({role}) may not").last).to_be_visible()
        page.keyboard.press("Escape")
    for look in ("floor?batch=1", "audit", "dataset", "lines", "results?batch=1"):
        board.visit(look)
        expect(page.get_by_text("cannot go on")).to_have_count(0)


def test_an_admin_makes_an_account_and_a_token_and_ends_them(board, plant) -> None:
    enter(board, "admin")
    page = board.page
    page.get_by_role("button", name="New account").click()
    page.get_by_role("textbox", name="Name").fill("cy")
    page.get_by_role("textbox", name="Password").fill("short")
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_text("10 to 200 characters")).to_be_visible()
    page.get_by_role("textbox", name="Password").fill("long enough for all")
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_text("cy has an account.")).to_be_visible()
    board.settle()
    page.get_by_role("tab", name="Tokens for programs").click()
    page.get_by_role("button", name="New token").click()
    page.get_by_role("textbox", name="Program").fill("mes")
    page.get_by_role("button", name="Make the token").click()
    code = page.get_by_test_id("stCode")
    expect(code).to_contain_text("dv_")
    token = code.inner_text().strip()
    asked = {"Authorization": f"Bearer {token}"}
    assert page.request.get(f"{board.url}/api/v1/lines", headers=asked).status == 200
    board.visit("access")
    expect(page.get_by_text("dv_")).to_have_count(0)
    page.get_by_role("tab", name="Tokens for programs").click()
    page.get_by_role("button", name="End a token").click()
    page.get_by_role("button", name="End it").click()
    board.settle()
    assert page.request.get(f"{board.url}/api/v1/lines", headers=asked).status == 401
    assert "cy  inspector" in command(plant.weights.parent / "store", "accounts")


def test_a_role_that_is_taken_away_is_gone_at_the_next_click(board, plant) -> None:
    store = plant.weights.parent / "store"
    command(store, "accounts", "add", "dee", "--password-stdin", given=f"{WORD}\n")
    enter(board, "dee", "review?batch=1&image=1")
    accept = board.page.get_by_role("button", name="Accept").first
    expect(accept).to_be_enabled()
    command(store, "accounts", "role", "dee", "viewer")
    accept.click()  # the page still shows it
    expect(board.page.get_by_text("dee (viewer) may not decide").first).to_be_visible()
    with open_store(store).reading() as session:
        assert not session.scalar(select(ReviewRow.id).where(ReviewRow.who == "dee"))
    command(store, "accounts", "end", "dee")
    board.page.get_by_text("Hide what the model says").click()
    expect(board.page.get_by_text("You are not signed in here any more")).to_be_visible()


def test_a_decision_is_kept_under_the_proven_name(board, plant) -> None:
    enter(board, "inspector", "review?batch=1&image=2")
    expect(board.page.get_by_text("Signed in as inspector")).to_be_visible()
    expect(board.page.get_by_role("textbox", name="Your name")).to_have_count(0)
    board.page.get_by_role("button", name="Accept").first.click()
    board.settle()
    board.visit("floor?batch=1&image=2")
    expect(board.page.get_by_text("by inspector")).to_be_visible()
