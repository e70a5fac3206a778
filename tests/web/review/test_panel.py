"""What Review says of agreement, and where it leads once all is decided."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from defectvision.batch.runner import work_on
from defectvision.batch.sources import upload_source
from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import load_bundle
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.settings import ROOT, settings
from defectvision.store import batches, reviews
from defectvision.store.database import Store, open_store
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting

UNSURE = Policy(accept_below=0.0, reject_above=1.0)  # all parts go to review


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with one batch of two parts, of which the model is sure of none."""
    write_bundle(tmp_path / "weights", "casting", "resnet50", policy=UNSURE)
    for name in ("weights", "store", "cache"):
        monkeypatch.setenv(f"DEFECTVISION_{name.upper()}", str(tmp_path / name))
    settings.cache_clear()
    store = open_store(tmp_path / "store")
    files = [(f"{name}.png", casting(name, 105)) for name in ("ok", "def")]
    source = upload_source(files, store.files)
    loaded = load_bundle(tmp_path / "weights", "casting")
    with store.session() as session:
        number = batches.add_batch(session, loaded, source, "lot 7", unproven("ada"), "all").id
    work_on(store, tmp_path / "weights", Limits(), number, Event())
    return store


def decide(store: Store, who: str, *verdicts: str) -> None:
    with store.session() as session:
        for number, verdict in enumerate(verdicts, 1):
            label = "ok" if verdict == "accept" else "def"
            reviews.decide(session, number, unproven(who), verdict, UNSURE, label, "")


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Labels of links to other pages, which a page by itself cannot have."""
    found: list[str] = []
    monkeypatch.setattr(st, "page_link", lambda *_, label, **__: found.append(label))
    return found


def review() -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "review.py"), default_timeout=60)
    app.session_state["who"] = "ada"
    app.run()
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    return " ".join(caption.value for caption in app.caption)


def test_what_cannot_be_compared_is_said_with_what_would_let_it_be(store, links) -> None:
    assert "Once parts are decided on" in said(review())
    assert not any("Results" in label for label in links)  # two parts wait
    decide(store, "ada", "accept", "reject")
    app = review()
    assert "2 parts are decided on, and none has two verdicts" in said(app)
    assert "under *The rest*" in said(app) and "Once parts" not in said(app)
    assert any("Results" in label for label in links)


@pytest.mark.parametrize(
    ("ada", "ben", "kappa"),
    [
        (("accept", "accept"), ("accept", "accept"), "–"),
        (("accept", "reject"), ("accept", "reject"), "1.00"),
    ],
)
def test_a_kappa_that_cannot_be_told_is_a_dash(store, links, ada, ben, kappa) -> None:
    decide(store, "ada", *ada)
    decide(store, "ben", *ben)
    (table,) = review().dataframe
    assert list(table.value["Kappa"]) == [kappa] and list(table.value["Agree"]) == [100.0]
