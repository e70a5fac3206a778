"""A released lot: the same for ever, and a changed byte is found."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from threading import Event

import openpyxl
import pandas as pd
import pytest

from defectvision.batch.runner import work_on
from defectvision.batch.sources import upload_source
from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.reader import load_bundle
from defectvision.limits import PIXELS, Limits
from defectvision.people import unproven
from defectvision.report import release as releasing
from defectvision.report.release import check_file, release_lot, released_formats
from defectvision.store import batches, policies, reviews
from defectvision.store.database import open_store
from defectvision.store.errors import StoreError
from defectvision.store.releases import newest_versions, releases_of
from defectvision.store.results import Results
from defectvision.store.retention import delete_batch
from defectvision.store.tables import AuditRow, InspectionRow
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting
from tests.stand_ins.days import let_days_pass

IMAGES, DECIDED = 200, 18
LATER = Policy(accept_below=0.05, reject_above=0.1)


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lot of 200 parts, a few drawn ones many times, each file another."""
    folder = tmp_path_factory.mktemp("plant")
    own = Policy(accept_below=0.3, reject_above=0.9)
    write_bundle(folder / "weights", "casting", "resnet50", policy=own)
    store = open_store(folder / "store")
    drawn = [(n, casting(n, i)) for n in ("ok", "def") for i in (3, 5, 105, 108, 110)]
    files = [
        (f"{i:03d}_{name}.png", data + bytes([i]))
        for i, (name, data) in enumerate(drawn[i % len(drawn)] for i in range(IMAGES))
    ]
    with store.session() as session:
        loaded = load_bundle(folder / "weights", "casting")
        source = upload_source(files, store.files)
        number = batches.add_batch(session, loaded, source, "Order 4711", unproven("ada")).id
    work_on(store, folder / "weights", Limits(), number, Event())
    return folder


@pytest.fixture
def lot(inspected: Path, tmp_path: Path) -> Results:
    """The lot with 18 parts decided on, in a store of its own."""
    shutil.copytree(inspected, tmp_path / "plant")
    store = open_store(tmp_path / "plant" / "store")
    results = Results.open(store, 1)
    policy = results.policy_in_force().policy
    with store.session() as session:
        for number in range(1, DECIDED + 1):
            decision = ("accept", "reject", "unusable")[number % 3]
            label = {"accept": "ok", "reject": "def"}.get(decision, "")
            reviews.decide(
                session, number, unproven("bo"), decision, policy, label, f"seen {number}"
            )
    return results


def loaded_of(results: Results):
    return load_bundle(results.store.folder.parent / "weights", "casting")


def release(results: Results, who: str = "cy", why: str = "complete", title: str = "") -> None:
    policy, seen = results.policy_of_today(), results.said_so_far()
    release_lot(results, loaded_of(results), policy, seen, PIXELS, unproven(who), why, title)


def files_of(results: Results, version: int = 0) -> dict[str, bytes]:
    found = released_formats(results.store, Results.open(results.store, 1).releases[version])
    return {about.title: bytes(about.make()) for about in found}


def save_policy(results: Results, policy: Policy) -> None:
    with results.store.session() as session:
        before = results.policy_of_today().policy
        policies.save(
            session, "casting", "resnet50", policy, unproven("dee"), "fewer escapes", before
        )


@pytest.mark.slow
def test_a_released_lot_is_the_same_byte_for_byte_whatever_is_saved_later(lot, tmp_path) -> None:
    release(lot)
    before = files_of(lot)
    assert set(before) == {"PDF report", "CSV", "Excel", "JSON", "Record"}
    table = pd.read_csv(io.BytesIO(before["CSV"]), keep_default_na=False)
    assert len(table) == IMAGES and (table["decided_by"] == "bo").sum() == DECIDED
    frozen = lot.summary(lot.selection(lot.policy_in_force().policy)).verdicts
    assert frozen == {v: (table["final_verdict"] == v.value).sum() for v in Verdict}

    save_policy(lot, LATER)
    again = Results.open(lot.store, 1)
    assert files_of(lot) == before
    assert again.policy_in_force().policy != LATER == again.policy_of_today().policy
    assert again.summary(again.selection(again.policy_in_force().policy)).verdicts == frozen
    for name, content in before.items():
        file = tmp_path / name
        file.write_bytes(content)
        found = check_file(lot.store, file)
        assert found.sound, found.words
        assert "lot 1 (Order 4711)" in found.words and "by cy" in found.words


@pytest.mark.slow
def test_a_changed_byte_is_found(lot, tmp_path) -> None:
    release(lot)
    for name, content in files_of(lot).items():
        for place in (0, len(content) // 2, len(content) - 1):
            changed = bytearray(content)
            changed[place] ^= 1
            file = tmp_path / f"{name}-{place}"
            file.write_bytes(changed)
            assert not check_file(lot.store, file).sound, (name, place)


@pytest.mark.slow
def test_a_row_that_was_changed_in_the_database_is_found(lot, tmp_path) -> None:
    release(lot)
    file = tmp_path / "report.pdf"
    file.write_bytes(files_of(lot)["PDF report"])
    for column, value in (
        ("defect_score", 0.0), ("decision", "accept"), ("decided_note", "another"), ("name", "x")
    ):  # fmt: skip
        with lot.store.session() as session:
            row = session.get_one(InspectionRow, 2)
            before = getattr(row, column)
            assert before != value
            setattr(row, column, value)
        found = check_file(lot.store, file)
        assert not found.sound and "the lot in the database is not" in found.words
        with lot.store.session() as session:
            setattr(session.get_one(InspectionRow, 2), column, before)
        assert check_file(lot.store, file).sound


@pytest.mark.slow
def test_decisions_of_a_released_lot_stand(lot) -> None:
    release(lot)
    with lot.store.session() as session:
        last = reviews.last_of(session, 1, "bo")
        with pytest.raises(StoreError, match="released by cy"):
            reviews.decide(session, 50, unproven("bo"), "accept", Policy(), "ok")
        with pytest.raises(StoreError, match="released by cy"):
            reviews.undo(session, last.id, unproven("bo"))


@pytest.mark.slow
def test_a_later_policy_judges_it_anew_beside_the_first(lot) -> None:
    release(lot)
    first = files_of(lot)
    save_policy(lot, LATER)
    lot = Results.open(lot.store, 1)
    changed = lot.changed(lot.policy_in_force().policy, LATER)
    assert changed and all(row.decision is None for row in changed)
    release(lot, "dee", "customer asked", "stricter")
    with lot.store.reading() as session:
        assert newest_versions(session, [1, 2]) == {1: 2}
    both = Results.open(lot.store, 1).releases
    assert [(row.number, row.who, row.title) for row in both] == [
        (1, "cy", "Version 1"),
        (2, "dee", "stricter"),
    ]
    assert files_of(lot, 0) == first
    assert files_of(lot, 1)["CSV"] != first["CSV"]
    assert both[0].counts != both[1].counts


@pytest.mark.slow
def test_what_speaks_against_a_release(lot) -> None:
    for who, why in (("", "done"), ("cy", " ")):
        with pytest.raises(StoreError, match="a name and a reason"):
            release(lot, who, why)
    with lot.store.session() as session:
        batches.get_batch(session, 1).state = batches.State.PAUSED
    with pytest.raises(StoreError, match="when it has ended"):
        release(lot)


@pytest.mark.slow
def test_a_decision_before_the_release_begins_stops_it(lot) -> None:
    """Who releases has looked at the lot some time before; else it is frozen as nobody saw it."""
    policy, seen = lot.policy_of_today(), lot.said_so_far()
    with lot.store.session() as session:
        reviews.decide(session, 3, unproven("bo"), "accept", Policy(), "ok", "another note")
    with pytest.raises(StoreError, match="somebody decided"):
        release_lot(lot, loaded_of(lot), policy, seen, PIXELS, unproven("cy"), "complete")
    with lot.store.reading() as session:
        assert releases_of(session, 1) == []


@pytest.mark.slow
def test_a_decision_while_the_report_is_made_stops_the_release(lot, monkeypatch) -> None:
    kept = releasing._kept

    def slowly(store, about):
        if about.title == "Record":
            made = kept(store, about)
            with store.session() as session:
                reviews.decide(session, 100, unproven("ada"), "reject", Policy(), "def")
            return made
        return kept(store, about)

    monkeypatch.setattr(releasing, "_kept", slowly)
    with pytest.raises(StoreError, match="somebody decided"):
        release(lot)
    with lot.store.reading() as session:
        assert releases_of(session, 1) == []


@pytest.mark.slow
@pytest.mark.parametrize("what", ["decided", "taken back"])
def test_a_decision_at_the_last_moment_stops_the_release(lot, monkeypatch, what) -> None:
    """After the last look at the record, and before the release is written."""
    digest = releasing.digest_of_record

    def looked(content: bytes) -> str:
        with lot.store.session() as session:
            if what == "decided":
                reviews.decide(session, 100, unproven("ada"), "reject", Policy(), "def")
            else:
                reviews.undo(session, reviews.last_of(session, 1, "bo").id, unproven("bo"))
        return digest(content)

    monkeypatch.setattr(releasing, "digest_of_record", looked)
    with pytest.raises(StoreError, match="somebody decided"):
        release(lot)
    with lot.store.reading() as session:
        assert releases_of(session, 1) == []


@pytest.mark.slow
def test_a_released_lot_is_deleted_only_when_that_is_said_twice(lot) -> None:
    release(lot)
    with lot.store.session() as session:
        with pytest.raises(StoreError, match="a name and a reason"):
            delete_batch(session, 1, unproven("eve"), "")
        with pytest.raises(StoreError, match="say that its releases go as well"):
            delete_batch(session, 1, unproven("eve"), "space")
    let_days_pass(lot.store, 100)
    assert files_of(lot)
    with lot.store.session() as session:
        record = releases_of(session, 1)[0].digest
        delete_batch(session, 1, unproven("eve"), "space", released_too=True)
        source = upload_source([("a.png", casting("ok", 3))], lot.store.files)
        assert batches.add_batch(session, loaded_of(lot), source, "next", unproven("ada")).id == 2
        entry = session.query(AuditRow).where(AuditRow.what == "batch deleted").one()
    assert (entry.who, entry.details["why"], entry.details["records"]) == ("eve", "space", [record])


@pytest.mark.slow
def test_the_workbook_has_the_date_of_the_release(lot) -> None:
    release(lot)
    at = Results.open(lot.store, 1).releases[0].at
    book = openpyxl.load_workbook(io.BytesIO(files_of(lot)["Excel"]))
    assert book.properties.created == at.replace(microsecond=0, tzinfo=None)
