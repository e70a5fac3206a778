"""A policy that was saved for one model says nothing of the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from defectvision.bundle.policy import Policy, Verdict, verdict
from defectvision.people import unproven
from defectvision.store import policies
from defectvision.store.database import Store
from defectvision.store.tables import PolicyRow
from tests.stand_ins.stores import new_store

ADA = unproven("ada")
FIRST, SECOND = Policy(accept_below=0.2, reject_above=0.8), Policy(accept_below=0.4)
LAX = Policy(accept_below=0.45, reject_above=0.9)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


def in_force(store: Store, own: Policy):
    with store.reading() as session:
        return policies.in_force(session, "casting", "resnet50", own)


def save(store: Store, policy: Policy, own: Policy | None) -> None:
    before = in_force(store, own or FIRST).policy
    with store.session() as session:
        policies.save(session, "casting", "resnet50", policy, ADA, "a trial", before, own)


def test_every_part_of_a_model_made_anew_goes_to_review(store) -> None:
    save(store, LAX, FIRST)
    assert in_force(store, FIRST).policy == LAX
    found = in_force(store, SECOND)
    assert (found.number, found.outdated) == (None, 1)
    assert "policy 1 was saved for an earlier model" in found.words
    for score in (0.0, 0.001, 0.3, 0.5, 0.999):
        assert verdict(score, found.policy, judged=True) == Verdict.REVIEW


def test_each_model_has_the_policy_that_was_saved_for_it(store) -> None:
    save(store, LAX, FIRST)
    save(store, Policy(accept_below=0.1), SECOND)
    assert in_force(store, SECOND).number == 2
    assert in_force(store, FIRST).number == 1  # rolled back, or a batch of that time
    assert in_force(store, LAX).outdated == 2


def test_what_was_saved_before_models_were_told_apart_stays_in_force(store) -> None:
    save(store, LAX, None)
    assert in_force(store, FIRST).number == in_force(store, SECOND).number == 1
    save(store, LAX, FIRST)
    assert in_force(store, SECOND).outdated == 2


def test_a_field_that_came_later_makes_no_other_model(store) -> None:
    save(store, LAX, FIRST)
    with store.session() as session:
        row = session.query(PolicyRow).one()
        row.own = {k: v for k, v in row.own.items() if k not in ("rules", "zones")}
    assert in_force(store, FIRST).number == 1
