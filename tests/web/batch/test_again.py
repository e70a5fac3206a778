"""The form that inspects a batch again, as another line, too."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from defectvision.batch.runner import work_on
from defectvision.batch.sources import upload_source
from defectvision.bundle.reader import load_bundle
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.settings import ROOT, settings
from defectvision.store import batches
from defectvision.store.database import Store, open_store
from defectvision.web.batch import condition
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with one batch that was inspected as castings, the only bundle of that line."""
    for line in ("casting", "neu-surface"):
        write_bundle(tmp_path / "weights", line, "resnet50")
    for name in ("weights", "store", "cache"):
        monkeypatch.setenv(f"DEFECTVISION_{name.upper()}", str(tmp_path / name))
    settings.cache_clear()
    monkeypatch.setattr(condition, "STARTING_SECONDS", 1e9)  # no worker is heard here
    store = open_store(tmp_path / "store")
    source = upload_source([("a.png", casting("ok", 105))], store.files)
    loaded = load_bundle(tmp_path / "weights", "casting")
    with store.session() as session:
        number = batches.add_batch(session, loaded, source, "lot 7", unproven("ada"), "all").id
    work_on(store, tmp_path / "weights", Limits(), number, Event())
    return store


def box(app: AppTest, key: str):
    return next(box for box in app.selectbox if box.key == key)


def test_a_batch_of_the_wrong_line_is_started_again_as_another(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    links: list[str] = []  # a page by itself has none to link to
    monkeypatch.setattr(st, "page_link", lambda *_, label, **__: links.append(label))
    app = AppTest.from_file(str(ROOT / "pages" / "batches.py"), default_timeout=60)
    app.session_state["again-open-1"] = True
    app.run()
    assert not app.exception
    assert box(app, "again-line-1").value == "casting"
    assert any("has no other bundle" in said.value for said in app.info)
    box(app, "again-line-1").set_value("neu-surface").run()
    assert box(app, "again-1-neu-surface").options == ["resnet50 (default)"]
    next(button for button in app.button if button.key == "again-start-1").click().run()
    assert not app.exception
    with store.reading() as session:
        made, first = batches.list_batches(session)
    assert (made.line, made.source.again_of, first.line) == ("neu-surface", 1, "casting")
    assert "again as Hot-rolled steel surface" in made.title
    work_on(store, settings().weights, Limits(), made.id, Event())
    links.clear()
    app.run()
    assert links == ["Results"]  # and no changes since a batch of another line
