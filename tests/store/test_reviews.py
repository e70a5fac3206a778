"""Decisions: appended, undone by a row, compared with the model's."""

from __future__ import annotations

from pathlib import Path

import pytest

from defectvision.bundle.policy import Policy, Verdict
from defectvision.people import unproven
from defectvision.store import inspections, reviews
from defectvision.store.errors import StoreError
from defectvision.store.reviews import Agreement
from defectvision.store.selection import EVERYTHING, Filter, Selection
from tests.stand_ins.bundles import LINES
from tests.stand_ins.stores import fill, new_store

CASTING = LINES["casting"]
POLICY = Policy(accept_below=0.3, reject_above=0.6)


@pytest.fixture(params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path: Path):
    new_database = request.getfixturevalue("postgres") if request.param != "sqlite" else str
    store = new_store(tmp_path, new_database())
    return store, fill(store, CASTING, 200)


def all_of(batch: int, filter: Filter = EVERYTHING) -> Selection:
    return Selection(batch, CASTING, POLICY, filter)


def test_the_most_doubtful_come_first_and_leave_when_decided(filled) -> None:
    store, batch = filled
    with store.session() as session:
        waiting = reviews.queue(session, all_of(batch), "ada")
        rest = reviews.queue(session, all_of(batch), "ada", "rest")
        assert all(r.objections or 0.3 <= r.defect_score < 0.6 for r in waiting)
        assert not any(r.objections or 0.3 <= r.defect_score < 0.6 for r in rest)
        assert len(waiting) + len(rest) == 200 and waiting and rest
        for part in (waiting, rest):
            distance = [abs(r.defect_score - 0.45) for r in part]
            assert distance == sorted(distance)
        first = waiting[0].id
        reviews.decide(session, first, unproven("ada"), "accept", POLICY)
        assert first not in [r.id for r in reviews.queue(session, all_of(batch), "ada")]
        assert first not in [r.id for r in reviews.queue(session, all_of(batch), "bo")]
        second = reviews.queue(session, all_of(batch), "bo", "second")
        assert [r.id for r in second] == [first]
        assert reviews.queue(session, all_of(batch), "ada", "second") == []


def test_undo_appends_and_brings_the_image_back(filled) -> None:
    store, batch = filled
    with store.session() as session:
        first = reviews.queue(session, all_of(batch), "ada")[0].id
        made = reviews.decide(
            session, first, unproven("ada"), "reject", POLICY, "def", "pit at the rim"
        )
        reviewed = all_of(batch, Filter(reviewed=True))
        assert inspections.summarize(session, reviewed).images == 1
        reviews.undo(session, made.id, unproven("ada"))
        assert reviews.queue(session, all_of(batch), "ada")[0].id == first
        assert reviews.reviews_of(session, [first]) == {}
        trail = reviews.trail(session, first)
        assert [(r.decision, r.why) for r in trail] == [("reject", "pit at the rim"), ("undo", "")]
        with pytest.raises(StoreError, match="undone already"):
            reviews.undo(session, made.id, unproven("ada"))
        assert inspections.summarize(session, reviewed).images == 0


@pytest.mark.parametrize(
    ("decision", "who", "number", "words"),
    [
        ("maybe", "ada", 1, "no decision; give accept or reject or unusable"),
        ("accept", " ", 1, "say who decides"),
        ("accept", "ada", 10_000, "not there"),
    ],
)
def test_a_wrong_decision_is_refused(filled, decision, who, number, words) -> None:
    store, _ = filled
    with store.session() as session, pytest.raises(StoreError, match=words):
        reviews.decide(session, number, unproven(who), decision, POLICY)


# By hand: (share of agreement - chance) / (1 - chance).
@pytest.mark.parametrize(
    ("counts", "share", "kappa"),
    [
        ({"aa": 20, "ar": 5, "ra": 10, "rr": 15}, 0.7, 0.4),
        ({"aa": 1, "rr": 1}, 1.0, 1.0),
        ({"ar": 1, "ra": 1}, 0.0, -1.0),
        ({"aa": 9, "ar": 1}, 0.9, 0.0),
        ({"ar": 3}, 0.0, 0.0),
        ({"aa": 5}, 1.0, None),
        ({}, None, None),
    ],
)
def test_kappa_is_agreement_beyond_chance(counts, share, kappa) -> None:
    pairs = {(both[0], both[1]): parts for both, parts in counts.items()}
    found = Agreement("ada", "bo", pairs)
    assert found.share == (None if share is None else pytest.approx(share))
    assert found.kappa == (None if kappa is None else pytest.approx(kappa))


def test_people_are_compared_with_the_model_and_each_other(filled) -> None:
    store, batch = filled
    with store.session() as session:
        clear = [
            *inspections.page(session, all_of(batch, Filter(frozenset({Verdict.ACCEPT})))),
            *inspections.page(session, all_of(batch, Filter(frozenset({Verdict.REJECT})))),
        ]
        review = all_of(batch, Filter(frozenset({Verdict.REVIEW})))
        doubtful = inspections.page(session, review)[0]
        for row in (clear[0], clear[-1], doubtful):
            reviews.decide(session, row.id, unproven("ada"), "reject", POLICY)
        reviews.decide(session, clear[0].id, unproven("bo"), "accept", POLICY)
        found = {(a.first, a.second): a for a in reviews.agreements(session, all_of(batch))}
        reviews.decide(session, clear[0].id, unproven("bo"), "unusable", POLICY)
        last = {(a.first, a.second): a for a in reviews.agreements(session, all_of(batch))}
    assert set(last) == {("ada", "model")}, "bo has no word on the worth of a part any more"
    assert found["ada", "model"].counts == {("reject", "accept"): 1, ("reject", "reject"): 1}
    assert found["bo", "model"].counts == {("accept", "accept"): 1}
    assert found["ada", "bo"].counts == {("reject", "accept"): 1}
