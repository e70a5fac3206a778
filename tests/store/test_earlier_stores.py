"""A store that an earlier version wrote opens, and shows the same rows.

The rows are written as those versions wrote them, in SQL, so that nothing of today's code has a
part in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text

from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.rules import Rule
from defectvision.inference.gate import Objection
from defectvision.inference.regions import Region
from defectvision.people import unproven
from defectvision.store import batches, database, policies, reviews
from defectvision.store.batches import Counts, State
from defectvision.store.claims import take_claim
from defectvision.store.database import Store, migrate, open_store
from defectvision.store.dropped import confirm_removal
from defectvision.store.folder import DATABASE, FILES
from defectvision.store.results import Results
from defectvision.store.selection import Filter
from defectvision.store.sources import Folder, UploadedFile, Uploads, WatchedFolder
from defectvision.store.tables import AuditRow, CounterRow, InspectionRow
from tests.stand_ins.bundles import LINES
from tests.stand_ins.days import let_days_pass

TILES = LINES["magnetic-tile"]
DIGEST, MOMENT = "ab" * 32, "2026-11-25 20:09:14.529707"
REGION = {
    "class_name": "crack", "area_px": 81, "length_px": 20.5, "width_px": 4.0, "x_px": 30.25,
    "y_px": 12.5, "left_px": 20, "top_px": 10, "box_width_px": 20, "box_height_px": 5,
    "probability": 0.75,
}  # fmt: skip
OWN = {
    "accept_below": 0.3, "reject_above": 0.6, "class_thresholds": {},
    "mask_thresholds": {"crack": 0.4}, "smallest_region_px": 16, "mm_per_px": None,
}  # fmt: skip
SAVED = {**OWN, "reject_above": 0.8}
SOURCES = [
    {"kind": "uploads", "files": [{"name": "a.png", "digest": DIGEST}]},
    {"kind": "folder", "path": "/lots/7"},
    {"kind": "watch", "path": "/camera"},
]


@contextmanager
def of_version(folder: Path, version: str) -> Iterator[Connection]:
    """The database of a store in `folder` as that version made it, to be written to."""
    # By the names of that module, so that it is the one that `open_store` opens there.
    engine = database._connect(f"sqlite:///{folder / DATABASE}")
    migrate(engine, version)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("set local time zone 'UTC'")
        yield connection
    engine.dispose()


def insert(old: Connection, table: str, **columns: object) -> None:
    values = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in columns.items()}
    places = ", ".join(f":{name}" for name in values)
    old.execute(text(f"insert into {table} ({', '.join(values)}) values ({places})"), values)


def insert_batch(old: Connection, number: int, source: dict, state: str) -> None:
    insert(
        old, "batches", id=number, title=f"Lot {number}", line=TILES.name, bundle="joint",
        bundle_version="6fae5358ab4c", mask_classes=["crack"], bundle_policy=OWN, source=source,
        state=state, listed=True, keep="all", who="ada", made=MOMENT, seconds=5.25, message="",
    )  # fmt: skip


def insert_image(old: Connection, number: int, score: float, **more: object) -> None:
    probabilities = dict.fromkeys(TILES.class_names, 0.0)
    probabilities |= {"free": 1 - score, "crack": score}
    columns = {
        "id": number, "batch_id": 1, "name": f"{number}.png", "path": "", "state": "done",
        "digest": DIGEST, "stored": True, "synthetic": False, "reason": "", "remedy": "",
        "at": MOMENT, "bundle_version": "6fae5358ab4c", "width": 300, "height": 200,
        "defect_score": score, "score_bin": int(score * 50), "foreign_score": 0.5,
        "top": "crack" if score > 0.5 else "free", "top_ok": "free", "top_defect": "crack",
        "probabilities": probabilities, "regions": [REGION], "cut": "[16, 0.4]",
        "milliseconds": {"decode": 1.0, "model": 2.0, "total": 3.5},
    }  # fmt: skip
    insert(old, "inspections", **(columns | more))


@pytest.fixture(params=["0001", "0002"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Store:
    with of_version(tmp_path, request.param) as old:
        insert(old, "lines", name=TILES.name, content=TILES.model_dump(mode="json"))
        for number, (source, state) in enumerate(
            zip(SOURCES, ("done", "paused", "watching"), strict=True), 1
        ):
            insert_batch(old, number, source, state)
        insert_image(old, 1, 0.7)
        insert_image(old, 2, 0.1, same_as=1)
        failed = {
            "state": "failed",
            "reason": "no image",
            "remedy": "Save it again.",
            "digest": None,
        }
        nothing = dict.fromkeys(("defect_score", "foreign_score", "probabilities", "regions"))
        insert_image(old, 3, 0.0, **failed, **nothing)
        insert_image(old, 4, 0.0, batch_id=2, state="waiting", path="/lots/7/4.png", **nothing)
        insert_image(old, 5, 0.1, batch_id=3, foreign_score=1.5)
        insert_image(old, 6, 0.1, batch_id=3, foreign_score=1.0)
        for number, content in ((1, OWN), (2, SAVED)):
            insert(
                old, "policies", id=number, line=TILES.name, bundle="joint", number=number,
                content=content, made=MOMENT, who="bo", why="overkill",
            )  # fmt: skip
        review = {"inspection_id": 1, "at": MOMENT, "policy": SAVED, "model_verdict": "review"}
        insert(old, "reviews", id=1, who="ada", decision="accept", label="free", why="", **review)
        insert(
            old, "reviews", id=2, who="ada", decision="undo", label="", why="", undoes=1, **review
        )
        insert(
            old, "reviews", id=3, who="bo", decision="reject", label="crack", why="deep", **review
        )
        insert(
            old, "audit", id=1, at=MOMENT, who="ada", what="batch started", line=TILES.name,
            details={"batch": 1},
        )  # fmt: skip
    return open_store(tmp_path)


def test_its_batches_are_listed_with_their_sources_and_counts(store) -> None:
    with store.reading() as session:
        rows = batches.list_batches(session)
        assert [row.id for row in rows] == [3, 2, 1]
        assert [row.source for row in rows] == [
            WatchedFolder(path="/camera"),
            Folder(path="/lots/7"),
            Uploads(files=(UploadedFile(name="a.png", digest=DIGEST),)),
        ]
        assert [row.state for row in rows] == [State.WATCHING, State.PAUSED, State.DONE]
        assert batches.count_by_batch(session, [1, 2, 3]) == {
            1: Counts(done=2, failed=1, repeated=1),
            2: Counts(waiting=1),
            3: Counts(done=2),
        }
        assert {row.made for row in rows} == {datetime.fromisoformat(MOMENT).replace(tzinfo=UTC)}


def test_its_batches_are_nobodys_and_can_be_claimed(store) -> None:
    with store.session() as session:
        for number, claimed in ((1, False), (2, False), (3, True)):
            row = batches.get_batch(session, number)
            assert (row.holder, row.held_since, row.beats, row.passed_over) == (None, None, 0, {})
            assert take_claim(session, number, "ada's server") == claimed


def test_a_postgresql_database_of_the_first_version_keeps_its_rows(tmp_path, postgres) -> None:
    address = postgres()
    engine = create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
    migrate(engine, "0001")
    batch = {
        "id": 7, "title": "Lot 7", "line": TILES.name, "bundle": "joint", "bundle_version": "6f",
        "mask_classes": "[]", "bundle_policy": json.dumps(OWN), "source": json.dumps(SOURCES[1]),
        "state": "running", "listed": True, "keep": "all", "who": "ada", "made": MOMENT,
        "seconds": 5.25, "message": "",
    }  # fmt: skip
    places = ", ".join(f":{name}" for name in batch)
    with engine.begin() as connection:
        line = {"name": TILES.name, "content": TILES.model_dump_json()}
        connection.execute(text("insert into lines values (:name, :content)"), line)
        connection.execute(
            text(f"insert into batches ({', '.join(batch)}) values ({places})"), batch
        )
    engine.dispose()
    store = open_store(tmp_path, address)
    with store.session() as session:
        row = batches.get_batch(session, 7)
        assert (row.title, row.source, row.seconds) == ("Lot 7", Folder(path="/lots/7"), 5.25)
        assert (row.holder, row.held_since, row.beats, row.passed_over) == (None, None, 0, {})
        assert take_claim(session, 7, "ada's server")


def test_its_results_are_judged_by_the_policy_in_force(store) -> None:
    results = Results.open(store, 1)
    in_force = results.policy_in_force()
    assert in_force.policy == Policy.model_validate(SAVED)
    assert in_force.words == "policy 2 of bo, saved for everyone"
    first, second = results.page(results.selection(in_force.policy))
    assert (first.verdict(in_force.policy), first.labels(in_force.policy)) == (
        Verdict.REVIEW,
        ("crack",),
    )
    assert second.verdict(in_force.policy) == Verdict.ACCEPT and second.row.same_as == first.id
    assert first.times == {"decode": 1.0, "model": 2.0, "total": 3.5}
    (error,) = results.errors()
    assert (error.name, error.reason, error.remedy) == ("3.png", "no image", "Save it again.")
    own = results.summary(results.selection(Policy.model_validate(OWN)))
    assert own.verdicts == {
        Verdict.ACCEPT: 1, Verdict.REVIEW: 0, Verdict.REJECT: 1, Verdict.UNUSABLE: 0
    }  # fmt: skip


def test_its_decisions_count_and_its_numbers_go_on(store) -> None:
    """Where two decided, the last word of each; an undone one not at all."""
    results = Results.open(store, 1)
    decision = results.one(1).decision
    assert decision is not None
    assert (decision.verdict, decision.labels, decision.who, decision.note) == (
        Verdict.REJECT, ("crack",), "bo", "deep"
    )  # fmt: skip
    assert decision.at == datetime.fromisoformat(MOMENT).replace(tzinfo=UTC)
    assert results.one(2).decision is None
    found = results.summary(results.selection(Policy(accept_below=1, reject_above=1)))
    assert found.verdicts[Verdict.REJECT] == found.rejected["crack"] == found.decided == 1
    assert results.releases == ()
    with store.session() as session:
        assert session.get_one(CounterRow, "batches").last == 3


def test_what_did_not_look_like_its_line_is_objected_to(store) -> None:
    results, policy = Results.open(store, 3), Policy.model_validate(OWN)
    unlike, like = results.every(results.selection(policy))
    assert unlike.objections == (Objection("unlike", "unlike this line"),)
    assert (unlike.foreign_score, unlike.verdict(policy)) == (1.5, Verdict.REVIEW)
    assert (like.objections, like.verdict(policy)) == ((), Verdict.ACCEPT)
    counts = results.summary(results.selection(policy)).verdicts
    assert counts == dict.fromkeys(Verdict, 0) | {Verdict.ACCEPT: 1, Verdict.REVIEW: 1}
    with store.session() as session:
        for row in session.query(InspectionRow).where(InspectionRow.id != 5):
            assert (row.objections, row.judged) == ([], True)


def test_its_parts_follow_rules_when_there_are_any(store) -> None:
    results = Results.open(store, 1)
    long = Rule(then="reject", class_name="crack", measure="length", over=20)
    policy = Policy.model_validate(OWN | {"rules": [long], "score_decides": False})
    assert results.summary(results.selection(policy)).rejected["crack"] == 2
    longer = policy.model_copy(update={"rules": (long.model_copy(update={"over": 20.5}),)})
    assert results.one(2).verdict(longer) == Verdict.ACCEPT


def test_a_store_of_the_version_before_rules_opens_with_its_parts(tmp_path) -> None:
    with of_version(tmp_path, "0004") as old:
        insert(old, "lines", name=TILES.name, content=TILES.model_dump(mode="json"))
        insert_batch(old, 1, SOURCES[0], "done")
        decided = {"decision": "accept", "decided_label": "free", "decided_by": "bo"}
        insert_image(old, 1, 0.7, objections=[], judged=True, **decided)
        insert_image(old, 2, 0.1, objections=[], judged=True)
        insert(
            old, "policies", id=1, line=TILES.name, bundle="joint", number=1, content=SAVED,
            made=MOMENT, who="bo", why="overkill",
        )  # fmt: skip
    results = Results.open(open_store(tmp_path), 1)
    saved = results.policy_in_force()
    assert (saved.number, saved.policy) == (1, Policy.model_validate(SAVED))
    assert results.summary(results.selection(saved.policy)).verdicts[Verdict.ACCEPT] == 2
    ruled = saved.policy.model_copy(update={"rules": (Rule(then="reject"),)})
    verdicts = results.summary(results.selection(ruled)).verdicts
    assert (verdicts[Verdict.ACCEPT], verdicts[Verdict.REJECT]) == (1, 1)


def test_its_batches_keep_their_line_when_a_class_was_renamed_since(tmp_path) -> None:
    """Only the newest line.json was kept then: what the probabilities name is what there was."""
    with of_version(tmp_path, "0004") as old:
        content = TILES.model_dump(mode="json")
        for one in content["classes"]:
            if one["name"] == "crack":
                one.update(name="fissure", title="Fissure")
        insert(old, "lines", name=TILES.name, content=content)
        insert_batch(old, 1, SOURCES[0], "done")
        insert_image(old, 1, 0.7, objections=[], judged=True)
    results = Results.open(open_store(tmp_path), 1)
    policy = Policy.model_validate(OWN)
    (part,) = results.every(results.selection(policy))
    assert (part.verdict(policy), part.labels(policy)) == (Verdict.REJECT, ("crack",))
    assert results.summary(results.selection(policy)).rejected == {"crack": 1} | dict.fromkeys(
        set(TILES.class_names) - {"crack"}, 0
    )
    assert part.as_json(policy)["label"] == "crack"


def test_its_regions_stand_under_any_scale(store) -> None:
    results = Results.open(store, 1)
    policy = Policy.model_validate(SAVED | {"mm_per_px": 0.5})
    found = results.one(1)
    assert found is not None
    assert found.regions(policy) == (Region(**REGION, mm_per_px=0.5),)


def test_its_reviews_stand_or_are_undone(store) -> None:
    results = Results.open(store, 1)
    reviewed = results.selection(Policy(), Filter(reviewed=True))
    assert [row.id for row in results.every(reviewed)] == [1]
    with store.reading() as session:
        standing = reviews.reviews_of(session, [1, 2])
        assert [(r.who, r.decision, r.label, r.why) for r in standing[1]] == [
            ("bo", "reject", "crack", "deep")
        ]
        assert [r.decision for r in reviews.trail(session, 1)] == ["accept", "undo", "reject"]
        history = policies.history(session, TILES.name, "joint")
        assert [(row.number, row.who, row.why) for row in history] == [
            (2, "bo", "overkill"),
            (1, "bo", "overkill"),
        ]
        assert [row.details for row in session.query(AuditRow)] == [{"batch": 1}]


def test_what_is_written_today_is_what_was_written_then(store) -> None:
    """Else the earlier version could not be put back."""
    with store.session() as session:
        for number in (1, 2, 3):
            row = batches.get_batch(session, number)
            row.source = row.source.model_copy()
            session.flush()
    with store.engine.connect() as connection:
        asked = text("select cast(source as text) from batches order by id")
        texts = list(connection.scalars(asked))
    assert texts == [json.dumps(source) for source in SOURCES]


def test_pictures_of_the_version_before_are_kept_for_their_days_from_today(tmp_path) -> None:
    """What their clock said is not asked, nor do they go because nothing names them."""
    with of_version(tmp_path, "0005") as old:
        insert(old, "lines", name=TILES.name, content=TILES.model_dump(mode="json"))
        insert_batch(old, 1, SOURCES[0], "done")
        old.exec_driver_sql("update batches set keep = '30'")
        files = database.Files(str(tmp_path / FILES))
        picture, others = files.put(b"picture"), files.put(b"other's")
        insert_image(old, 1, 0.7, digest=picture, at="1970-01-01 00:00:00.000000")
    store = open_store(tmp_path)
    with store.reading() as session:
        row = session.get_one(InspectionRow, 1)
        assert (row.aged, row.stamp, row.tries) == (0, "", 0)
    for days, stored in ((29, True), (1, False)):
        assert let_days_pass(store, days) == (0, 0)
        with store.reading() as session:
            assert session.get_one(InspectionRow, 1).stored == stored
    confirm_removal(store, unproven("ada"), "as was said")
    assert let_days_pass(store, 7) == (1, 7)
    assert not store.files.has(picture) and store.files.has(others)
