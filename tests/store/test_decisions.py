"""What people decide counts at once, wherever the model's verdict did."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defectvision.bundle.labels import join_labels
from defectvision.bundle.policy import Policy, Verdict
from defectvision.people import unproven
from defectvision.store import reviews
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.releases import begin, finish, hold, refuse_released
from defectvision.store.results import Results
from defectvision.store.retention import delete_batch
from defectvision.store.selection import Filter, Sorting
from tests.stand_ins.bundles import LINES
from tests.stand_ins.stores import fill, new_store

POLICY = Policy(accept_below=0.3, reject_above=0.6)
PARTS = 12


@pytest.fixture(params=["sqlite", "postgresql"])
def results(request: pytest.FixtureRequest, tmp_path: Path) -> Results:
    new_database = request.getfixturevalue("postgres") if request.param != "sqlite" else str
    store = new_store(tmp_path, new_database())
    return Results.open(store, fill(store, LINES["casting"], PARTS))


def decide(store: Store, part: int, who: str, decision: str, label: str = "", why: str = "") -> int:
    with store.session() as session:
        return reviews.decide(session, part, unproven(who), decision, POLICY, label, why).id


def first_of(results: Results, verdict: Verdict) -> int:
    chosen = results.selection(POLICY, Filter(frozenset({verdict})))
    return next(iter(results.every(chosen))).id


def test_a_decision_moves_counts_filters_labels_and_charts(results) -> None:
    accepted = first_of(results, Verdict.ACCEPT)
    before = results.summary(results.selection(POLICY))
    decide(results.store, accepted, "ada", "reject", "def", "a crack that the light hides")
    after = results.summary(results.selection(POLICY))
    assert after.verdicts[Verdict.ACCEPT] == before.verdicts[Verdict.ACCEPT] - 1
    assert after.verdicts[Verdict.REJECT] == before.verdicts[Verdict.REJECT] + 1
    assert after.rejected["def"] == before.rejected["def"] + 1
    assert (before.decided, after.decided) == (0, 1)
    found = results.one(accepted)
    assert found.verdict(POLICY) == Verdict.ACCEPT and found.labels(POLICY) == ("ok",)
    assert found.final_verdict(POLICY) == Verdict.REJECT and found.final_labels(POLICY) == ("def",)
    rejected = results.selection(POLICY, Filter(frozenset({Verdict.REJECT})))
    assert accepted in [row.id for row in results.every(rejected)]
    named = results.selection(POLICY, Filter(classes=frozenset({"def"})))
    assert accepted in [row.id for row in results.every(named)]
    assert [r.id for r in results.every(results.selection(POLICY, Filter(reviewed=True)))] == [
        accepted
    ]


def test_a_picture_that_shows_no_part_is_neither_good_nor_bad(results) -> None:
    part = first_of(results, Verdict.REJECT)
    before = results.summary(results.selection(POLICY))
    decide(results.store, part, "ada", "unusable", why="a hand")
    after = results.summary(results.selection(POLICY))
    assert after.verdicts[Verdict.UNUSABLE] == 1
    assert after.rejected["def"] == before.rejected["def"] - 1
    accepted, rejected = after.verdicts[Verdict.ACCEPT], after.verdicts[Verdict.REJECT]
    assert after.yield_share == accepted / (accepted + rejected)


def test_two_who_disagree_at_the_same_moment_are_both_heard(results) -> None:
    part, store = first_of(results, Verdict.ACCEPT), results.store
    with ThreadPoolExecutor(1) as other:
        with store.session() as session:
            reviews.decide(session, part, unproven("ada"), "accept", POLICY)
            waits = other.submit(decide, store, part, "bo", "reject", "def")
            time.sleep(0.3)
        waits.result()
    assert results.one(part).decision.disputed


def test_a_decision_that_counts_later_than_a_newer_one_is_noticed(tmp_path, postgres) -> None:
    """Else a lot is released with it that was looked at without it."""
    store = new_store(tmp_path, postgres())
    results = Results.open(store, fill(store, LINES["casting"], PARTS))
    with store.session() as session:
        reviews.decide(session, 1, unproven("ada"), "accept", POLICY)
        decide(store, 2, "bo", "accept")
        seen = results.said_so_far()
    assert results.said_so_far() != seen


def test_who_decides_while_the_lot_is_released_is_refused(results) -> None:
    part, store, number = first_of(results, Verdict.ACCEPT), results.store, results.batch.id
    with ThreadPoolExecutor(1) as other:
        with store.session() as session:
            hold(session, number)
            waits = other.submit(decide, store, part, "bo", "reject", "def")
            time.sleep(0.3)
            release = begin(session, number, unproven("cy"), "complete", "")
            release.policy, release.policy_words = POLICY.model_dump(mode="json"), "policy 3"
            release.counts, release.digest = {}, "0" * 64
            finish(session, release, [])
        with pytest.raises(StoreError, match="released by cy"):
            waits.result()
    assert results.one(part).decision is None


@pytest.mark.parametrize("what", ["decide", "undo"])
def test_who_decides_while_the_lot_is_deleted_is_told_so(results, what) -> None:
    part, store, number = first_of(results, Verdict.ACCEPT), results.store, results.batch.id
    made = decide(store, part, "bo", "reject", "def")

    def meanwhile() -> None:
        with store.session() as session:
            if what == "undo":
                reviews.undo(session, made, unproven("bo"))
            else:
                reviews.decide(session, part, unproven("bo"), "accept", POLICY)

    with ThreadPoolExecutor(1) as other:
        with store.session() as session:
            delete_batch(session, number, unproven("cy"), "a trial")
            waits = other.submit(meanwhile)
            time.sleep(0.3)
        # SQLite lets the other begin only afterwards, when nothing is there any more.
        with pytest.raises(StoreError, match=r"was deleted meanwhile|is not there"):
            waits.result()


def test_a_decision_on_a_part_of_a_deleted_lot_says_what_is_gone(tmp_path) -> None:
    store = new_store(tmp_path)
    number = fill(store, LINES["casting"], 1)
    with store.session() as session:
        refuse_released(session, number)
        with pytest.raises(StoreError, match=f"lot {number + 1} was deleted .* nothing was dec"):
            refuse_released(session, number + 1)


def test_two_who_disagree_leave_it_to_a_third(results) -> None:
    part = first_of(results, Verdict.ACCEPT)
    decide(results.store, part, "ada", "reject", "def")
    decide(results.store, part, "bo", "accept", "ok")
    found = results.one(part)
    assert found.decision.disputed and found.final_verdict(POLICY) == Verdict.REVIEW
    selection = results.selection(POLICY)
    with results.store.reading() as session:
        assert [r.id for r in reviews.queue(session, selection, "ada", "disputed")] == [part]
        assert part not in [r.id for r in reviews.queue(session, selection, "ada")]
        assert part in [r.id for r in reviews.queue(session, selection, "cy")]
        progress = reviews.progress(session, selection)
    assert (progress.disputed, progress.decided) == (1, 0)
    settling = decide(results.store, part, "cy", "reject", "def", "seen under the lamp")
    decision = results.one(part).decision
    assert (decision.verdict, decision.who) == (Verdict.REJECT, "cy")
    decide(results.store, part, "bo", "accept", "ok")
    assert results.one(part).decision.who == "cy", "settled is settled"
    with results.store.session() as session:
        reviews.undo(session, settling, unproven("cy"))
    assert results.one(part).decision.disputed


@pytest.mark.parametrize("line", ["casting", "magnetic-tile"])
def test_a_table_by_label_stands_in_the_order_of_the_labels_that_it_shows(tmp_path, line) -> None:
    store, names = new_store(tmp_path), LINES[line].defect_names
    results = Results.open(store, fill(store, LINES[line], PARTS))
    for part in range(1, PARTS // 2):
        said = ("reject", names[-part % len(names)]) if part % 2 else ("accept", "")
        decide(store, part, "ada", *said)
    decide(store, PARTS, "ada", "unusable")
    parts = results.page(results.selection(POLICY), Sorting("label"))
    shown = [join_labels(part.final_labels(POLICY)) for part in parts]
    assert shown == sorted(shown) and len(set(shown)) > 1


def test_one_who_gives_way_ends_a_dispute(results) -> None:
    part = first_of(results, Verdict.ACCEPT)
    decide(results.store, part, "ada", "reject", "def", "deep")
    decide(results.store, part, "bo", "accept", "ok")
    decide(results.store, part, "bo", "reject", "def", "she is right")
    decision = results.one(part).decision
    assert (decision.verdict, decision.who) == (Verdict.REJECT, "ada, bo")
    assert decision.note == "deep; she is right"


STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.sampled_from([*reviews.DECISIONS, ""])),
    max_size=12,
)


@pytest.mark.slow
@given(steps=STEPS, low=st.floats(0, 1), high=st.floats(0, 1))
@pytest.mark.parametrize("line", ["casting", "severstal-strip", "neu-surface"])
def test_the_database_counts_what_each_part_says(tmp_path_factory, line, steps, low, high) -> None:
    store = new_store(tmp_path_factory.mktemp("lot"))
    results = Results.open(store, fill(store, LINES[line], 8))
    policy = Policy(accept_below=min(low, high), reject_above=max(low, high))
    names = LINES[line].defect_names
    for part, who, decision in steps:
        if decision == Verdict.ACCEPT and not LINES[line].can_accept:
            continue  # it is refused, as the line knows no good part
        with store.session() as session:
            if decision:
                label = names[part % len(names)] if decision == "reject" else ""
                reviews.decide(session, part + 1, unproven(who), decision, policy, label)
            elif last := reviews.last_of(session, results.batch.id, who):
                reviews.undo(session, last.id, unproven(who))
    parts = list(results.every(results.selection(policy)))
    counted = results.summary(results.selection(policy))
    for verdict in Verdict:
        finals = [part.id for part in parts if part.final_verdict(policy) == verdict]
        assert counted.verdicts[verdict] == len(finals)
        chosen = results.selection(policy, Filter(frozenset({verdict})))
        assert [part.id for part in results.every(chosen)] == finals
    for name in LINES[line].class_names:
        with_name = [part.id for part in parts if name in part.final_labels(policy)]
        assert counted.classes.get(name, 0) == len(with_name)
        chosen = results.selection(policy, Filter(classes=frozenset({name})))
        assert [part.id for part in results.every(chosen)] == with_name
        rejected = [p for p in parts if p.id in with_name
                    and p.final_verdict(policy) == Verdict.REJECT]  # fmt: skip
        assert counted.rejected.get(name, 0) == len(rejected)
    assert counted.decided == sum(part.decision is not None for part in parts)
