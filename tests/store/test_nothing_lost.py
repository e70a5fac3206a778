"""A picture is removed when this database dropped it, days later, and never for another reason."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
from sqlalchemy import DateTime, literal
from typer.testing import CliRunner

from defectvision.batch.runner import work_on
from defectvision.batch.start import BatchRequest, start_batch
from defectvision.bundle.reader import load_bundle
from defectvision.cli.main import app
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.store import age as ageing
from defectvision.store import batches, dropped
from defectvision.store.age import DAY, Timekeeper, about, age_of
from defectvision.store.audit import trail
from defectvision.store.database import Store, open_store
from defectvision.store.dropped import confirm_removal, remove_dropped, standing
from defectvision.store.errors import StoreError
from defectvision.store.files import MARK, digest_of
from defectvision.store.retention import delete_batch, expire
from defectvision.store.tables import InspectionRow
from tests.stand_ins.castings import casting
from tests.stand_ins.days import files_older_by, let_days_pass
from tests.stand_ins.kept_files import lose, names, overwrite
from tests.stand_ins.statements import plans
from tests.stand_ins.stores import copy_of_database

PARTS = [(f"{seed}.png", casting("ok", seed)) for seed in range(3)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def inspected(
    store: Store, weights: Path, parts: list[tuple[str, bytes]] = PARTS, keep: str = "all"
) -> int:
    loaded = load_bundle(weights, "casting")
    request = BatchRequest("lot 7", parts, keep=keep)
    number = start_batch(store, loaded, request, None, unproven("ada")).id
    work_on(store, weights, Limits(), number, Event())
    with store.reading() as session:
        assert batches.count_images(session, number).done == len(parts)
    return number


def said(store: Store, what: str) -> list[dict]:
    with store.reading() as session:
        return [row.details for row in trail(session)[0] if row.what == what]


def kept_pictures(store: Store) -> int:
    with store.reading() as session:
        return session.query(InspectionRow).where(InspectionRow.stored).count()


@pytest.mark.parametrize("other", ["new", "empty", "older", "another site's"])
def test_another_database_on_the_files_removes_none_and_says_so(
    store, weights, tmp_path, other, caplog
) -> None:
    inspected(store, weights)
    address = ""
    if other == "older":
        address = copy_of_database(store, tmp_path / "other.sqlite3")
        let_days_pass(store, 1)
        inspected(store, weights, [("9.png", casting("def", 9))])
    elsewhere = open_store(tmp_path / "elsewhere", address, store.files.url)
    if other == "empty":
        with elsewhere.session() as session:
            session.delete(about(session))
            session.flush()
            session.add(ageing.AboutStoreRow(identity="0" * 36))
    if other == "another site's":
        number = inspected(elsewhere, weights)
        with elsewhere.session() as session:
            batches.get_batch(session, number).keep = "1"
    if other == "older":
        with elsewhere.session() as session:
            delete_batch(session, 1, unproven("eve"), "space")
    before = names(store.files)
    assert len(before) >= 9
    with elsewhere.session() as session:
        about(session).age += 100 * DAY
        expire(session)
    with files_older_by(20_000):
        assert remove_dropped(elsewhere) == (0, 0)
    assert names(store.files) == before
    assert "no file is removed" in caplog.text and standing(elsewhere).standstill
    if other == "another site's":  # nor does the first one, which cannot know what the other needs
        with store.session() as session:
            delete_batch(session, 1, unproven("ada"), "a trial")
        assert let_days_pass(store, 100) == (0, 0) and names(store.files) == before
        assert said(store, "removal stopped")[0]["why"] == "2 databases share them"
    else:
        assert let_days_pass(store, 100) == (0, 0) and names(store.files) == before
        assert standing(store).standstill == ""


def test_files_of_an_earlier_version_are_marked_by_the_database_that_names_them(
    store, weights, tmp_path
) -> None:
    number = inspected(store, weights)
    lose(store.files, MARK)
    other = open_store(tmp_path / "b", "", store.files.url)
    remove_dropped(other)
    assert "no mark" in standing(other).standstill
    with store.session() as session:
        delete_batch(session, number, unproven("ada"), "a trial")
    inspected(store, weights, [("9.png", casting("def", 9))])
    lose(store.files, MARK)
    let_days_pass(store, 1)
    assert standing(store).standstill == "" and store.files.mark() is not None


def test_a_deleted_batch_leaves_its_files_for_days_and_what_others_name_for_good(
    store, weights
) -> None:
    first = inspected(store, weights)
    inspected(store, weights, PARTS[:1])
    before = names(store.files)
    with store.session() as session:
        delete_batch(session, first, unproven("ada"), "a trial")
    assert let_days_pass(store, 6.9) == (0, 0) and names(store.files) == before
    files, size = let_days_pass(store, 0.2)
    assert (
        files == 6
        and size > 0
        and said(store, "files removed") == [{"files": files, "bytes": size}]
    )
    with store.reading() as session:
        (row,) = session.query(InspectionRow)
        assert names(store.files) == {row.digest, row.record, row.thumbnail}
        assert row.digest == digest_of(PARTS[0][1])


def test_what_is_inspected_again_meanwhile_stays(store, weights) -> None:
    number = inspected(store, weights)
    with store.session() as session:
        delete_batch(session, number, unproven("ada"), "a trial")
    let_days_pass(store, 5)
    again = inspected(store, weights)
    let_days_pass(store, 5)
    with store.reading() as session:
        for row in session.query(InspectionRow).where(InspectionRow.batch_id == again):
            for digest in (row.digest, row.record, row.thumbnail):
                store.files.get(digest)


def test_pictures_go_when_their_days_and_the_grace_are_over(store, weights) -> None:
    inspected(store, weights, [(f"{i}.png", casting("def", i)) for i in range(20, 40)])
    inspected(store, weights, keep="30")
    assert let_days_pass(store, 29) == (0, 0) and kept_pictures(store) == 23
    assert let_days_pass(store, 1) == (0, 0) and kept_pictures(store) == 20
    files, size = let_days_pass(store, 7)
    assert (files, size) == (3, sum(len(data) for _, data in PARTS))


def test_a_large_share_goes_only_on_a_persons_word(store, weights) -> None:
    number = inspected(store, weights, keep="30")
    before = names(store.files)
    let_days_pass(store, 31)
    assert let_days_pass(store, 8) == (0, 0) and names(store.files) == before
    let_days_pass(store, 1)
    (stop,) = said(store, "removal stopped")
    assert "3 of 9 files would go at once" in stop["why"], "told once, not at every look"
    with pytest.raises(StoreError, match="a name and a reason"):
        confirm_removal(store, unproven("ada"), " ")
    confirm_removal(store, unproven("ada"), "the disk is full")
    assert let_days_pass(store, 0)[0] == 3
    assert said(store, "removal confirmed")[0]["why"] == "the disk is full"
    with store.reading() as session:
        assert len(batches.get_batch(session, number).title) > 0


def test_the_command_line_says_why_nothing_goes_and_takes_the_word(
    store, weights, monkeypatch
) -> None:
    inspected(store, weights, keep="30")
    let_days_pass(store, 31)
    let_days_pass(store, 8)
    monkeypatch.setenv("DEFECTVISION_STORE", str(store.folder))
    found = CliRunner().invoke(app, ["store"])
    assert "9 files" in found.stdout and "would go at once" in found.stderr
    done = CliRunner().invoke(app, ["store", "confirm", "--who", "ada", "--why", "space"])
    assert done.exit_code == 0, done.stderr
    assert let_days_pass(store, 0)[0] == 3


def test_a_damaged_mark_stops_removal_until_a_person_says_whose_the_files_are(
    store, weights
) -> None:
    number = inspected(store, weights)
    with store.session() as session:
        delete_batch(session, number, unproven("ada"), "a trial")
    overwrite(store.files, MARK, b"")
    assert let_days_pass(store, 8) == (0, 0)
    assert "cannot be read" in standing(store).standstill
    inspected(store, weights, [("9.png", casting("def", 9))])
    confirm_removal(store, unproven("ada"), "a power cut")
    assert let_days_pass(store, 8)[0] == 9


class Clocks:
    """The clock that people set, and the one that nobody can."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.monotonic = datetime.fromisoformat("2026-11-26T08:00:00+00:00"), 500.0
        monkeypatch.setattr(ageing, "now", lambda: self.wall)
        zoned = DateTime(timezone=True)
        of_server = SimpleNamespace(clock_timestamp=lambda: literal(self.wall, zoned))
        monkeypatch.setattr(ageing, "func", of_server)
        monkeypatch.setattr(ageing, "time", SimpleNamespace(monotonic=lambda: self.monotonic))

    def go_on(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.monotonic += seconds


def tick(store: Store, keeper: Timekeeper) -> tuple[int, bool]:
    """The store's age, and whether its clock is trusted."""
    with store.session() as session:
        keeper.tick(session)
        row = about(session)
        return row.age, row.age >= row.steady_from


@pytest.mark.parametrize("days", [-20_000, -400, -1, 1, 2, 40, 3650])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_wrong_clock_removes_nothing_and_stops_retention(
    store, weights, monkeypatch, days, restarted
) -> None:
    inspected(store, weights, keep="1")
    clocks, keeper = Clocks(monkeypatch), Timekeeper()
    assert tick(store, keeper) == (0, True)
    clocks.go_on(3600)
    assert tick(store, keeper) == (3600, True)
    clocks.wall += timedelta(days=days)
    if restarted:
        keeper = Timekeeper()
    age, trusted = tick(store, keeper)
    assert age <= 3600 + DAY / 2
    assert trusted == (restarted and days == 1), "a night off is no jump"
    before = names(store.files)
    with store.session() as session:
        assert expire(session) == 0
    assert let_days_pass(store, 0) == (0, 0) and names(store.files) == before
    assert kept_pictures(store) == 3
    clocks.wall -= timedelta(days=days)  # the time server answers
    tick(store, keeper)
    for _ in range(25):
        clocks.go_on(3600)
        age, trusted = tick(store, keeper)
    assert trusted and age <= 26 * 3600 + DAY / 2
    assert len(said(store, "clock jumped")) == 1, "the way back included"


def test_several_servers_count_the_same_time_once(store, monkeypatch) -> None:
    clocks, keepers = Clocks(monkeypatch), [Timekeeper() for _ in range(3)]
    for _ in range(60):
        for keeper in keepers:
            clocks.go_on(20)
            tick(store, keeper)
    with store.reading() as session:
        assert age_of(session) == pytest.approx(60 * 60, abs=60)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_crowd_of_dropped_files_is_asked_for_by_index(tmp_path, request, kind) -> None:
    """The database must not read all inspections for each of them."""
    database = request.getfixturevalue("postgres")() if kind != "sqlite" else ""
    store = open_store(tmp_path / "store", database)
    with plans(store.engine) as found, store.session() as session:
        dropped.drop(session, ["ab" * 32])
        dropped._keep_named(session, dropped.DroppedFileRow.age < 1)
    (plan,) = [how for asked, how in found.items() if "DELETE" in asked and "EXISTS" in asked]
    assert "ix_inspections_content" in plan and "ix_inspections_thumbnail" in plan
    assert not re.search(r"(SCAN|Seq Scan on) inspections", plan), plan
