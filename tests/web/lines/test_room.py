"""What can be done with a bundle on the Lines page, and by whom."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import load_bundle, read_line
from defectvision.people import unproven
from defectvision.settings import ROOT, settings
from defectvision.store import policies
from defectvision.store.bundles import switch_default
from defectvision.store.database import Store, open_store
from tests.stand_ins.bundles import write_bundle

ANNA = unproven("anna")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("DEFECTVISION_CACHE", str(tmp_path / "cache"))
    settings.cache_clear()
    write_bundle(tmp_path / "weights", "casting", "resnet50")
    write_bundle(tmp_path / "weights", "casting", "small", gain=0.3)
    return open_store(tmp_path / "store")


def page(name: str = "ben") -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "lines.py"), default_timeout=60)
    app.run()
    app.text_input(key="who").set_value(name).run()
    assert not app.exception
    return app


def test_an_earlier_policy_is_put_in_force_again(store: Store, tmp_path: Path) -> None:
    loaded = load_bundle(tmp_path / "weights", "casting")
    own, strict = loaded.bundle.policy, Policy(accept_below=0.1, reject_above=0.2)
    with store.session() as session:
        policies.save(session, "casting", "resnet50", strict, ANNA, "a complaint", own)
    app = page()
    assert any("policy 1 of anna" in e.label.replace("\\", "") for e in app.expander)
    now = "policy-back-now-casting-resnet50"
    assert app.button(key=now).disabled  # without a reason
    app.text_input(key="policy-back-why-casting-resnet50-1").set_value("too strict").run()
    app.button(key=now).click().run()
    with store.reading() as session:
        newest = policies.history(session, "casting", "resnet50")[0]
    assert (newest.number, newest.who, newest.why) == (2, "ben", "too strict")
    assert policies.policy_of(newest) == own


def test_a_default_that_was_switched_meanwhile_is_not_switched_unseen(
    store: Store, tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    app = page()
    app.text_input(key="default-reason-casting-small").set_value("faster").run()
    write_bundle(weights, "casting", "third", gain=0.5)
    switch_default(store, weights, "casting", "third", ANNA, "why", "resnet50")
    app.button(key="switch-casting-small").click().run()
    assert read_line(weights / "casting").default_bundle == "third"
    assert "is 'third' by now, not 'resnet50'" in app.toast[0].value.replace("\\", "")
    app = page()
    app.text_input(key="default-reason-casting-small").set_value("faster").run()
    app.button(key="switch-casting-small").click().run()
    assert read_line(weights / "casting").default_bundle == "small"
    words = "\n".join(one.value for one in (*app.markdown, *app.caption)).replace("\\", "")
    assert re.search("in place of third since .* by ben: faster", words), words
    app.button(key="back-casting").click().run()
    assert read_line(weights / "casting").default_bundle == "third"


def test_who_has_no_name_changes_nothing(store: Store) -> None:
    app = page(" ")
    for button in app.button:
        if button.label in ("Switch", "Roll back", "Put in force again", "Check and import"):
            assert button.disabled, button.label
