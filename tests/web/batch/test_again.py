"""The form that inspects a batch again, as another line, too."""

from __future__ import annotations

from threading import Event

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from defectvision.batch.runner import work_on
from defectvision.limits import Limits
from defectvision.settings import ROOT, settings
from defectvision.store import batches
from defectvision.store.database import Store


def box(app: AppTest, key: str):
    return next(box for box in app.selectbox if box.key == key)


def test_a_batch_of_the_wrong_line_is_started_again_as_another(
    worked: Store, monkeypatch: pytest.MonkeyPatch
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
    with worked.reading() as session:
        made, first = batches.list_batches(session)
    assert (made.line, made.source.again_of, first.line) == ("neu-surface", 1, "casting")
    assert "again as Hot-rolled steel surface" in made.title
    work_on(worked, settings().weights, Limits(), made.id, Event())
    links.clear()
    app.run()
    assert links == ["Results"]  # and no changes since a batch of another line
