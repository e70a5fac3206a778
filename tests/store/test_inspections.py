"""What the database counts and finds is what the policy says of each inspection."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy import text as sql

from defectvision.bundle import policy as policies
from defectvision.bundle.line import DefectClass
from defectvision.bundle.policy import Policy, Verdict
from defectvision.store import inspections
from defectvision.store.database import Store
from defectvision.store.results import Results
from defectvision.store.selection import Filter, Selection, Sorting
from defectvision.store.tables import InspectionRow
from defectvision.store.verdicts import verdict_of
from tests.stand_ins.bundles import LINES
from tests.stand_ins.statements import plans
from tests.stand_ins.stores import fill, new_store

IMAGES = 600
# More classes than have columns of their own.
MANY = LINES["severstal-strip"].model_copy(
    update={
        "name": "many",
        "classes": tuple(
            DefectClass(name=str(i), title=f"Class {i}", kind="defect", colour="#0072b2")
            for i in range(1, 11)
        ),
    }
)
LINES = {**LINES, "many": MANY}
LINE_NAMES = ["casting", "magnetic-tile", "neu-surface", "severstal-strip", "many"]
POLICIES = [
    Policy(),
    Policy(accept_below=0.2, reject_above=0.7),
    Policy(accept_below=0.0, reject_above=0.0),
    Policy(accept_below=0.1, reject_above=1.0, class_thresholds={"3": 0.1, "1": 0.9}),
]
FILTERS = [
    Filter(),
    Filter(verdicts=frozenset({Verdict.REJECT})),
    Filter(verdicts=frozenset({Verdict.ACCEPT, Verdict.REVIEW}), low=0.1, high=0.5),
    Filter(text="_00001"),
    Filter(text="%"),
]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stores(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Store, int]]:
    new_database = request.getfixturevalue("postgres") if request.param != "sqlite" else str
    found = {}
    for name in LINE_NAMES:
        store = new_store(tmp_path_factory.mktemp(name), new_database())
        found[name] = store, fill(store, LINES[name], IMAGES)
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Store, int]]:
    found = {}
    for name in LINE_NAMES:
        store = new_store(tmp_path_factory.mktemp(name))
        found[name] = store, fill(store, LINES[name], 120)
    return found


def expected(row: InspectionRow, policy: Policy, line) -> tuple[Verdict, tuple[str, ...]]:
    score = row.defect_score
    verdict = policies.verdict(score, policy, judged=not row.objections)
    if row.objections:  # no verdict of the model, so no label either
        return verdict, ()
    return verdict, policies.labels(row.probabilities, policy.zone(score), policy, line)


def passes(row: InspectionRow, chosen: Filter, policy: Policy, line) -> bool:
    verdict, labels = expected(row, policy, line)
    score = row.defect_score
    return (
        (not chosen.verdicts or verdict in chosen.verdicts)
        and (not chosen.classes or bool(chosen.classes & set(labels)))
        and (chosen.low == 0 or (score is not None and score >= chosen.low))
        and (chosen.high == 1 or (score is not None and score <= chosen.high))
        and chosen.text.lower() in row.name
    )


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", LINE_NAMES)
def test_counts_and_filters_are_those_of_the_policy(stores, name: str, policy: Policy) -> None:
    (store, batch), line = stores[name], LINES[name]
    defects = [c.name for c in line.classes if c.kind == "defect"]
    with store.reading() as session:
        everything = list(inspections.every(session, Selection(batch, line, policy)))
        assert len(everything) == IMAGES
        for chosen in [*FILTERS, *(Filter(classes=frozenset({n})) for n in line.class_names)]:
            selection = Selection(batch, line, policy, chosen)
            wanted = [row for row in everything if passes(row, chosen, policy, line)]
            found = list(inspections.every(session, selection))
            assert [r.id for r in found] == [r.id for r in wanted], chosen
            counted = inspections.summarize(session, selection)
            said = [expected(row, policy, line) for row in wanted]
            assert counted.images == len(wanted)
            assert counted.verdicts == {v: sum(s[0] == v for s in said) for v in Verdict}
            names = line.class_names if line.label_mode == "multiclass" else defects
            by_class = {n: sum(n in s[1] for s in said) for n in names}
            assert {n: counted.classes.get(n, 0) for n in names} == by_class
            assert counted.unjudged == sum(bool(r.objections) for r in wanted)
            judged = [r.defect_score for r in wanted if not r.objections]
            scores = [score for score in judged if score is not None]
            bins = np.minimum((np.array(scores) * inspections.BINS).astype(int), 49)
            assert counted.scores.tolist() == np.bincount(bins, minlength=50).tolist()


def test_the_filters_leave_something_and_not_everything(stores) -> None:
    """Else the comparison above would compare nothing."""
    store, batch = stores["severstal-strip"]
    line, policy = LINES["severstal-strip"], POLICIES[3]
    with store.reading() as session:
        for chosen in [*FILTERS[1:4], Filter(classes=frozenset({"3"}))]:
            left = inspections.summarize(session, Selection(batch, line, policy, chosen)).images
            assert 0 < left < IMAGES, chosen
        nothing = Selection(batch, line, policy, FILTERS[4])
        assert inspections.summarize(session, nothing).images == 0


@pytest.mark.parametrize("order", ["listed", "name", "verdict", "label", "defect_score"])
@pytest.mark.parametrize("descending", [False, True])
def test_pages_follow_each_other_and_places_are_theirs(stores, order, descending) -> None:
    (store, batch), line, policy = stores["magnetic-tile"], LINES["magnetic-tile"], POLICIES[1]
    rejected = Selection(batch, line, policy, Filter(verdicts=frozenset({Verdict.REJECT})))
    accepted = replace(rejected, filter=Filter(verdicts=frozenset({Verdict.ACCEPT})))
    sorting = Sorting(order, descending)
    with store.reading() as session:
        total = inspections.summarize(session, rejected).images
        rows = []
        for first in range(0, total, 50):
            rows += inspections.page(session, rejected, sorting, first, 50)
        assert len({r.id for r in rows}) == total
        if order == "defect_score":
            scores = [r.defect_score for r in rows]
            assert scores == sorted(scores, reverse=descending)
        for at in (0, 49, 50, total - 1):
            place = inspections.place_of(session, rejected, rows[at].id, sorting)
            assert place == at
        other = inspections.page(session, accepted)[0]
        assert inspections.place_of(session, rejected, other.id, sorting) is None


@given(
    low=st.floats(0, 1),
    width=st.floats(0, 1),
    name=st.sampled_from(["casting", "magnetic-tile", "neu-surface", "severstal-strip"]),
)
def test_any_policy_says_the_same_in_python_and_in_the_database(plain, low, width, name) -> None:
    """Of stored inspections too, with what the gate objects to."""
    store, batch = plain[name]
    policy = Policy(accept_below=low, reject_above=low + width * (1 - low))
    results = Results.open(store, batch)
    everything = list(results.every(results.selection(policy)))
    assert {bool(one.objections) for one in everything} == {True, False}
    said = Counter(one.verdict(policy) for one in everything)
    assert results.summary(results.selection(policy)).verdicts == {v: said[v] for v in Verdict}
    for verdict in Verdict:
        chosen = results.selection(policy, Filter(verdicts=frozenset({verdict})))
        found = [one.id for one in results.every(chosen)]
        assert found == [one.id for one in everything if one.verdict(policy) == verdict]


def test_a_verdict_is_counted_from_the_index_alone(stores) -> None:
    store, batch = stores["casting"]
    query = select(verdict_of(POLICIES[1]), func.count()).where(
        InspectionRow.batch_id == batch, InspectionRow.state == "done"
    )
    with plans(store.engine) as found, store.reading() as session:
        session.execute(query.group_by(sql("1")))
    (plan,) = found.values()
    assert re.search("(USING COVERING INDEX|Index Only Scan using) ix_inspections_verdict", plan), (
        plan
    )
