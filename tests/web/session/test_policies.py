"""The policy that a session judges by, moved on its pages."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from streamlit.testing.v1 import AppTest

from defectvision.bundle.policy import Policy, PolicyInForce
from defectvision.inference.inspector import Inspector
from defectvision.settings import settings
from defectvision.store.database import open_store
from defectvision.web.links import PAGES
from defectvision.web.session.work import Work


def started(inspector: Inspector) -> Work:
    """A session that knows the bundle's own policy as the one in force."""
    work = Work()
    work.policies.know(inspector.loaded, PolicyInForce(inspector.loaded.bundle.policy))
    return work


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ([("accept_below", 0.5)], (0.5, 0.7)),
        ([("accept_below", 0.9)], (0.9, 0.9)),
        ([("reject_above", 0.1)], (0.1, 0.1)),
        ([("reject_above", 0.1), ("reject_above", 0.8)], (0.1, 0.8)),
        ([("accept_below", 7.0)], (1.0, 1.0)),
        ([("reject_above", -1.0)], (0.0, 0.0)),
    ],
)
def test_thresholds_stay_in_order(inspector: Inspector, moves, expected) -> None:
    work = started(inspector)
    for name, value in moves:
        work.policies.set_threshold(inspector.loaded, name, value)
    policy = work.policies.of(inspector.loaded)
    assert (policy.accept_below, policy.reject_above) == expected
    work.policies.reset(inspector.loaded)
    assert work.policies.of(inspector.loaded) == inspector.loaded.bundle.policy


def test_a_moved_threshold_keeps_the_rest_of_the_policy(inspector: Inspector) -> None:
    work = started(inspector)
    work.policies.change(inspector.loaded, smallest_region_px=9, mm_per_px=0.2)
    work.policies.set_class_value(inspector.loaded, "mask_thresholds", "def", 0.8)
    work.policies.set_class_value(inspector.loaded, "mask_thresholds", "ok", 1.7)
    work.policies.set_threshold(inspector.loaded, "reject_above", 0.9)
    policy = work.policies.of(inspector.loaded)
    assert (policy.accept_below, policy.reject_above) == (0.3, 0.9)
    assert (policy.smallest_region_px, policy.mm_per_px) == (9, 0.2)
    assert policy.mask_thresholds == {"def": 0.8, "ok": 1.0}
    with pytest.raises(ValueError, match="mm_per_px"):
        work.policies.change(inspector.loaded, mm_per_px=-1)


def test_a_session_follows_the_policy_in_force_until_it_moves_its_own(inspector: Inspector) -> None:
    policies, loaded = Work().policies, inspector.loaded
    saved = PolicyInForce(Policy(accept_below=0.1, reject_above=0.2), 3, "Ada", "tighter")
    policies.know(loaded, saved)
    assert policies.of(loaded) == saved.policy
    policies.set_threshold(loaded, "reject_above", 0.6)
    assert policies.of(loaded) == Policy(accept_below=0.1, reject_above=0.6)
    assert policies.in_force(loaded) == saved
    policies.reset(loaded)
    assert policies.of(loaded) == saved.policy


def test_nobody_judges_before_the_policy_in_force_is_known(inspector: Inspector) -> None:
    with pytest.raises(KeyError):
        Work().policies.of(inspector.loaded)


def test_without_the_policy_in_force_there_is_no_verdict(weights, tmp_path, monkeypatch) -> None:
    """A database that stopped answering: the bundle's own policy accepts what the plant's holds
    back."""
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path))
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(weights))
    settings.cache_clear()
    try:
        page = AppTest.from_file(str(PAGES / "inspect.py"), default_timeout=60).run()
        assert not page.exception and not page.error
        assert page.slider
        with open_store(tmp_path).session() as session:
            session.execute(text("drop table policies"))
        page.run()
        assert not page.exception
        assert [error.value for error in page.error if "no verdict is given" in error.value]
        assert not page.slider and not page.success
    finally:
        settings.cache_clear()
