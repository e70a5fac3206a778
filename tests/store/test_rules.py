"""Rules decide alike wherever a verdict is given: in Python, in the database, in what leaves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from defectvision.api.results import results as api_results
from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.rules import Rule
from defectvision.people import unproven
from defectvision.report.export import result_columns, result_rows
from defectvision.report.looks import LOOKS
from defectvision.report.lot_record import record
from defectvision.report.pdf_parts import in_order
from defectvision.store import measured
from defectvision.store.database import Store
from defectvision.store.policies import save
from defectvision.store.results import Results
from defectvision.store.selection import Filter
from defectvision.store.stored import StoredInspection
from defectvision.store.tables import InspectionRow, MeasuredRow, RuleSetRow
from defectvision.web.judged_table import Row, cells
from tests.stand_ins.bundles import LINES
from tests.stand_ins.stores import ZONES, fill, new_store

SCALE = 0.5  # mm per px
NAMES = ["magnetic-tile", "severstal-strip"]
ORDER = [Verdict.ACCEPT, Verdict.REVIEW, Verdict.REJECT]


def rules_of(name: str) -> st.SearchStrategy[Rule]:
    return st.builds(
        Rule,
        then=st.sampled_from(["review", "reject"]),
        class_name=st.none() | st.sampled_from(LINES[name].defect_names),
        measure=st.sampled_from(["area", "length", "width"]),
        over=st.sampled_from([0.0, 2.5, 5.0, 10.0, 40.0]),
        unit=st.sampled_from(["px", "mm"]),
        at_least=st.integers(1, 3),
        zone=st.none() | st.sampled_from([zone.name for zone in ZONES]),
    )


def policies_of(name: str) -> st.SearchStrategy[Policy]:
    thresholds = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)
    return st.builds(
        lambda low_high, rules, score_decides, named: Policy(
            accept_below=low_high[0],
            reject_above=low_high[1],
            class_thresholds=dict.fromkeys(LINES[name].class_names, named),
            zones=ZONES,
            mm_per_px=SCALE,
            rules=rules,
            score_decides=score_decides,
        ),
        thresholds,
        st.lists(rules_of(name), min_size=1, max_size=3),
        st.booleans(),
        st.sampled_from([0.2, 0.5, 0.9]),
    )


def by_hand(part: StoredInspection, policy: Policy) -> tuple[Verdict, frozenset[str] | None]:
    """The verdict as the rules' words say it, and the classes of the strictest broken rules."""
    broken: dict[Verdict, set[str]] = {}
    for rule in policy.rules:
        classes = []
        for region in part.row.regions:
            size = region[f"{rule.measure}_px"]
            if rule.unit == "mm":
                size *= SCALE**2 if rule.measure == "area" else SCALE
            fits = rule.class_name in (None, region["class_name"])
            there = rule.zone is None or rule.zone in region["zones"]
            classes += [region["class_name"]] if fits and there and size > rule.over else []
        if len(classes) >= rule.at_least:
            broken.setdefault(Verdict(rule.then), set()).update(classes)
    ruled = max(broken, key=ORDER.index, default=Verdict.ACCEPT)
    score = Verdict.REVIEW
    if part.defect_score < policy.accept_below:
        score = Verdict.ACCEPT
    elif part.defect_score >= policy.reject_above:
        score = Verdict.REJECT
    verdict = max(score, ruled, key=ORDER.index) if policy.score_decides else ruled
    return Verdict.REVIEW if part.objections else verdict, frozenset(broken.get(ruled, ()))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def lots(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Results]:
    new_database = request.getfixturevalue("postgres") if request.param != "sqlite" else str
    found = {}
    for name in NAMES:
        store = new_store(tmp_path_factory.mktemp(name), new_database())
        found[name] = Results.open(store, fill(store, LINES[name], 80, outlines=True))
    return found


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("name", NAMES)
def test_pages_database_exports_report_and_api_agree_on_every_part(
    lots: dict[str, Results], name: str, data: st.DataObject
) -> None:
    lot, policy = lots[name], data.draw(policies_of(name))
    selection = lot.selection(policy)
    parts = list(lot.every(selection))
    said = {part.id: by_hand(part, policy) for part in parts}

    assert {part.id: part.verdict(policy) for part in parts} == {i: s[0] for i, s in said.items()}
    counts = Counter(verdict for verdict, _ in said.values())
    summary = lot.summary(selection)
    assert summary.verdicts == {verdict: counts[verdict] for verdict in Verdict}
    for verdict in ORDER:
        chosen = lot.selection(policy, Filter(verdicts=frozenset({verdict})))
        assert [p.id for p in lot.every(chosen)] == [i for i, s in said.items() if s[0] == verdict]

    for part in parts:
        _, classes = said[part.id]
        labels, line = part.labels(policy), lot.line
        if part.verdict(policy) == Verdict.ACCEPT:
            assert set(labels) <= set(line.good_names)
        elif part.verdict(policy) == Verdict.REJECT:
            assert labels and set(labels) <= set(line.defect_names)
            if line.label_mode == "multilabel":
                assert classes <= set(labels)
    for label in lot.line.class_names:
        chosen = lot.selection(policy, Filter(classes=frozenset({label})))
        wanted = [part.id for part in parts if label in part.final_labels(policy)]
        assert [part.id for part in lot.every(chosen)] == wanted
        assert summary.classes.get(label, 0) == len(wanted)

    columns = result_columns(lot.origin, policy)
    table = pd.DataFrame(list(result_rows(parts, policy, lot.origin)), columns=columns)
    assert table["verdict"].tolist() == [s[0] for s in said.values()]
    written = json.loads(record(lot, selection, parts))
    assert [part["verdict"] for part in written["parts"]] == [s[0] for s in said.values()]
    assert [part.as_json(policy)["verdict"] for part in parts] == [s[0] for s in said.values()]
    for part, broken in zip(parts, table["broken_rules"], strict=True):
        assert bool(broken) == (part.measured(policy).verdict != Verdict.ACCEPT)
    shown = [cells(Row(part.name, part), policy)["verdict"] for part in parts]
    assert shown == [[LOOKS[verdict].signed] for verdict, _ in said.values()]
    listed = {part.id for part in in_order(parts, policy)}
    assert listed == {i for i, s in said.items() if s[0] != Verdict.ACCEPT}

    before, named = lot.policy_of_today().policy, (lot.batch.line, lot.batch.bundle)
    with lot.store.session() as session:
        save(session, *named, policy, unproven("Ada"), "tried", before)
    answer = api_results("ada", lot.store, lot.batch.id, most=500)
    assert [part.verdict for part in answer.results] == [s[0] for s in said.values()]
    assert answer.verdicts == summary.verdicts


LONG = Policy(
    accept_below=0.4, reject_above=0.6, zones=ZONES,
    rules=(Rule(then="reject", measure="length", over=5),),
)  # fmt: skip


@pytest.fixture
def lot(tmp_path) -> Results:
    store = new_store(tmp_path)
    return Results.open(store, fill(store, LINES["magnetic-tile"], 60, outlines=True))


def test_moving_a_threshold_measures_nothing_again(lot: Results, monkeypatch) -> None:
    before = lot.summary(lot.selection(LONG)).verdicts
    monkeypatch.setattr(measured, "_measured", None)
    moved = LONG.model_copy(update={"reject_above": 1.0, "accept_below": 0.9})
    assert lot.summary(lot.selection(moved)).verdicts != before


def test_a_part_that_was_not_measured_yet_waits_for_a_person(lot: Results) -> None:
    selection = lot.selection(LONG)
    parts = lot.summary(selection).images
    with lot.store.session() as session:
        session.query(MeasuredRow).delete()
    unmeasured = lot.summary(selection).verdicts
    assert unmeasured[Verdict.ACCEPT] == 0 and sum(unmeasured.values()) == parts
    assert lot.summary(lot.selection(LONG)).verdicts[Verdict.ACCEPT] > 0


def test_a_part_whose_record_is_gone_waits_for_a_person(lot: Results) -> None:
    """Other zones need the masks, and those of these parts were never kept."""
    policy = LONG.model_copy(update={"zones": ZONES[:1], "score_decides": False})
    assert lot.summary(lot.selection(policy)).verdicts[Verdict.REVIEW] == 60
    assert {part.verdict(policy) for part in lot.every(lot.selection(policy))} == {Verdict.REVIEW}


def test_progress_is_told(lot: Results, monkeypatch) -> None:
    monkeypatch.setattr(measured, "CHUNK", 25)
    told: list[tuple[int, int]] = []
    lot.measure(LONG, lambda done, total: told.append((done, total)))
    assert told == [(25, 60), (50, 60), (60, 60)]
    lot.measure(LONG, lambda done, total: told.append((done, total)))
    assert len(told) == 3


def test_rules_out_of_use_make_room(lot: Results, monkeypatch) -> None:
    monkeypatch.setattr(measured, "MOST_SETS", 3)
    monkeypatch.setattr(measured, "RECENT", measured.timedelta(0))

    def tried(limit: float) -> Policy:
        rule = LONG.rules[0].model_copy(update={"over": limit})
        return LONG.model_copy(update={"rules": (rule,)})

    for limit in range(8):
        lot.measure(tried(limit))
    with lot.store.reading() as session:
        assert session.scalar(select(func.count()).select_from(RuleSetRow)) <= 4
        left = session.scalar(select(func.count()).select_from(MeasuredRow))
        assert left <= 4 * session.scalar(select(func.count()).select_from(InspectionRow))
    first = lot.summary(lot.selection(tried(0)))
    assert first.verdicts[Verdict.REJECT] > lot.summary(lot.selection(tried(7))).verdicts["reject"]


def test_a_part_that_is_deleted_takes_what_was_measured_along(lot: Results) -> None:
    lot.measure(LONG)
    with lot.store.session() as session:
        session.delete(session.query(InspectionRow).first())
    with lot.store.reading() as session:
        assert session.scalar(select(func.count()).select_from(MeasuredRow)) == 59


def test_two_that_measure_at_once_do_not_trip_over_each_other(lot: Results, monkeypatch) -> None:
    measure_one: Callable = measured._measured
    again = []

    def meanwhile(*args):
        if not again:
            again.append(True)
            lot.measure(LONG)
        return measure_one(*args)

    monkeypatch.setattr(measured, "_measured", meanwhile)
    lot.measure(LONG)
    store: Store = lot.store
    with store.reading() as session:
        assert session.scalar(select(func.count()).select_from(MeasuredRow)) == 60
