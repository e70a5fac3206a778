"""What can be done with a bundle on the Lines page, and by whom."""

from __future__ import annotations

import json
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
from tests.stand_ins.bundles import LINES, write_bundle

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


def test_one_line_is_shown_below_what_is_known_of_all(store: Store, tmp_path: Path) -> None:
    app = page()
    assert "Line" not in app.table[0].value  # of one line there is nothing to compare
    weights = tmp_path / "weights"
    file = weights / "casting" / "resnet50" / "bundle.json"
    content = json.loads(file.read_text())
    content["metrics"] = [one for one in content["metrics"] if one["seen"]]
    file.write_text(json.dumps(content))
    write_bundle(weights, "neu-surface", LINES["neu-surface"].default_bundle)
    damaged = write_bundle(weights, "magnetic-tile", LINES["magnetic-tile"].default_bundle)
    (damaged / "model.onnx").write_bytes(b"damaged")
    app = page()
    overview = app.table[0].value
    assert overview["Line"].tolist() == ["Casting", "Magnetic tile", r"Hot\-rolled steel surface"]
    assert overview["Default bundle"].tolist() == [
        "resnet50 and 1 more", "none that can be used", LINES["neu-surface"].default_bundle,
    ]  # fmt: skip
    assert overview["AUC"].tolist() == ["–", "–", "0.950"]  # none of what was learned from
    measured = overview["Measured on"].tolist()
    assert measured == ["not yet", "–", "94 images, 40 photo groups"]
    assert [header.value for header in app.header] == ["Casting"]
    app.selectbox(key="line-choice-0").select("magnetic-tile").run()
    assert [header.value for header in app.header] == ["Magnetic tile"]
    assert "does not match the hash" in app.error[0].value
    assert app.query_params["line"] == "magnetic-tile"
    app.selectbox(key="line-choice-0").select("neu-surface").run()
    assert "it cannot accept a part" in app.caption[1].value


def test_the_address_names_line_and_bundle(store: Store, tmp_path: Path) -> None:
    write_bundle(tmp_path / "weights", "neu-surface", "joint")
    app = AppTest.from_file(str(ROOT / "pages" / "lines.py"), default_timeout=60)
    app.query_params["line"] = "casting"
    app.query_params["bundle"] = "small"
    app.run()
    assert not app.exception
    [tabs] = app.get("tab_container")
    assert tabs.proto.tab_container.default_tab_index == 1


def test_who_has_no_name_changes_nothing(store: Store) -> None:
    app = page(" ")
    for button in app.button:
        if button.label in ("Switch", "Roll back", "Put in force again", "Check and import"):
            assert button.disabled, button.label
