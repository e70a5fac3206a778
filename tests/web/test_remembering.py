"""The way for good parts that were stopped to join what a bundle remembers, on the pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from defectvision.batch.remembered import Part, Remembered
from defectvision.bundle.policy import Policy, Verdict
from defectvision.inference.images import ImageError
from defectvision.people import Role, unproven
from defectvision.settings import settings
from defectvision.store import reviews
from defectvision.store.batches import images_in
from defectvision.store.database import Store
from defectvision.store.results import Results
from defectvision.store.tables import ImageState
from tests.stand_ins.bundles import LINES, write_bundle
from tests.stand_ins.stores import fill, new_store

STOPPED, PASSED = Verdict.REVIEW, Verdict.ACCEPT


def _page(store, opened, role) -> None:
    from defectvision.bundle.reader import load_bundle
    from defectvision.people import Role, in_role
    from defectvision.settings import settings
    from defectvision.store.results import Results
    from defectvision.web.review.remembering import remember_stopped

    loaded = load_bundle(settings().weights, "casting")
    who = in_role("anna", Role(role))
    remember_stopped(Results.open(store, 1), loaded, who, opened)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A bundle that says that it remembers."""
    folder = write_bundle(tmp_path / "weights", "casting", "resnet50")
    about = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(about | {"options": {"vectors": 3}}))
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(tmp_path / "weights"))
    settings.cache_clear()
    yield tmp_path / "weights"
    settings.cache_clear()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A batch in which people accepted three parts that the model had stopped."""
    made = new_store(tmp_path)
    fill(made, LINES["casting"], 40)
    who = unproven("ben")
    with made.session() as session:
        policy = Policy()
        rows = images_in(session, 1, ImageState.DONE)
        stopped = [row for row in rows if row.judged and row.defect_score >= policy.accept_below]
        for row in stopped[:3]:
            reviews.decide(session, row.id, who, "accept", policy)
    return made


def drawn(store: Store, opened: int | None = None, role: Role = Role.ENGINEER) -> AppTest:
    page = AppTest.from_function(_page, args=(store, opened, role.value), default_timeout=60).run()
    assert not page.exception
    return page


def numbers(store: Store) -> list[int]:
    results = Results.open(store, 1)
    with store.reading() as session:
        return [row.id for row in reviews.stopped_good(session, results.selection(Policy()))]


def test_who_may_is_offered_the_open_part_and_all_and_sees_what_came_of_it(
    store: Store, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = numbers(store)
    assert len(others) == 2
    asked = []

    def remember(store, base, inspections, who, limits, advance):
        asked.append((base.bundle.name, inspections))
        advance(1, 2)
        parts = (
            Part("a.png", True, True, 0.9, 0.1, STOPPED, PASSED),
            Part("b.png", False, False, 0.9, 0.1, STOPPED, PASSED),
        )
        return Remembered(base, base.bundle.name, 7, parts)

    monkeypatch.setattr("defectvision.batch.remembering.remember_parts", remember)
    monkeypatch.setattr("streamlit.page_link", lambda *_, **__: None)  # this page alone is drawn
    page = drawn(store, first)
    assert [button.label for button in page.button] == [
        "Remember this part",
        "Remember all 3 parts",
    ]
    page.button[0].click().run()
    page.button(key="remember-all").click().run()
    assert asked == [("resnet50", [first]), ("resnet50", [first, *others])]
    (warning,) = page.warning
    assert "b\\.png" in warning.value
    table = page.dataframe[0].value
    assert table[["Part", "Is", "Was", "Now"]].to_numpy().tolist() == [
        ["a.png", "joined", "Review", "Accept"],
        ["b.png", "defective", "Review", "Accept"],
    ]
    page.button(key="remembered-close").click().run()
    assert not page.warning


def test_why_it_was_not_done_is_said(
    store: Store, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object) -> None:
        raise ImageError("a.png", "is damaged", "Take it again.")

    monkeypatch.setattr("defectvision.batch.remembering.remember_parts", damaged)
    page = drawn(store)
    (button,) = page.button
    button.click().run()
    assert "is damaged" in page.error[0].value


def test_nothing_is_offered_to_who_may_not_or_where_nothing_is_remembered(
    store: Store, weights: Path
) -> None:
    assert not drawn(store, role=Role.INSPECTOR).button
    file = weights / "casting" / "resnet50" / "bundle.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"options": {}}))
    assert not drawn(store).button
