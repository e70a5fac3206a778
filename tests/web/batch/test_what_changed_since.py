"""The Results page of a batch of which something changed since: its bundle, or what it shows."""

from __future__ import annotations

import shutil

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from defectvision.bundle.policy import Policy
from defectvision.people import unproven
from defectvision.settings import ROOT, settings
from defectvision.store import policies, reviews
from defectvision.store.database import Store
from defectvision.store.results import Results
from tests.stand_ins.bundles import write_bundle


def results_page() -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "results.py"), default_timeout=60).run()
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    return " ".join(one.value for one in (*app.caption, *app.warning)).replace("\\", "")


def test_a_policy_is_not_put_in_force_on_what_another_model_said(
    worked: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be saved for the scores of the model that is there, which nobody has looked at."""
    monkeypatch.setattr(st, "page_link", lambda *_, **__: None)
    app = results_page()
    save = "Save as the policy in force"
    assert save in [button.label for button in app.button] and "replaced" not in said(app)
    shutil.rmtree(settings().weights / "casting" / "resnet50")
    own = Policy(accept_below=0.1, reject_above=0.2)
    write_bundle(settings().weights, "casting", "resnet50", policy=own, gain=0.3)
    app = results_page()
    assert save not in [button.label for button in app.button]
    assert "The bundle was replaced since. A policy is put in force" in said(app)
    assert "was replaced by version" in said(app)


@pytest.mark.parametrize("meanwhile", ["a policy", "a decision", "a note", "nothing"])
def test_a_lot_is_released_as_it_was_seen_or_not_at_all(
    worked: Store, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    monkeypatch.setattr(st, "page_link", lambda *_, **__: None)
    own, ada = Results.open(worked, 1).policy_in_force().policy, unproven("ada")
    with worked.session() as session:
        reviews.decide(session, 1, ada, "reject", own, "def", "a scratch")
    app = results_page()
    app.text_input(key="who").set_value("cy").run()
    app.text_input(key="release-reason").set_value("complete").run()
    with worked.session() as session:
        strict = Policy(accept_below=0.0, reject_above=0.0)
        if meanwhile == "a policy":
            policies.save(session, "casting", "resnet50", strict, ada, "why", own, own)
        elif meanwhile == "a decision":
            reviews.decide(session, 1, ada, "accept", own, "ok", "a scratch")
        elif meanwhile == "a note":  # which no count tells
            reviews.decide(session, 1, ada, "reject", own, "def", "a crack")
    next(button for button in app.button if button.label == "Release the lot").click().run()
    assert not app.exception
    assert len(Results.open(worked, 1).releases) == (meanwhile == "nothing")
