"""The Results page of a batch whose bundle was replaced since."""

from __future__ import annotations

import shutil

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from defectvision.bundle.policy import Policy
from defectvision.settings import ROOT, settings
from defectvision.store.database import Store
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
