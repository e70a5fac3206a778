"""Rows of earlier versions come through every upgrade, in every table, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, MetaData, create_engine, insert, select

from defectvision.store import batches, reviews
from defectvision.store.database import Store, migrate, open_store
from defectvision.store.dropped import drop
from defectvision.store.tables import (
    AccountRow,
    AuditRow,
    Base,
    EvaluationRow,
    LabelledImageRow,
    LabelledSetRow,
    LabelRow,
    MeasuredRow,
    PolicyRow,
    ReleaseFileRow,
    ReleaseRow,
    RuleSetRow,
    SignInRow,
    TokenRow,
    now,
)
from defectvision.store.workers import say_here
from tests.stand_ins.bundles import LINES
from tests.stand_ins.stores import fill

VERSIONS = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
    "0012",
)
KEPT = (
    *("batches", "inspections", "reviews", "policies", "audit", "releases", "release_files"),
    *("accounts", "sign_ins", "tokens"),
)


def full_store(folder: Path) -> Store:
    """A store with rows in every table."""
    store = open_store(folder)
    number = fill(store, LINES["magnetic-tile"], 12, outlines=True)
    with store.session() as session:
        what = {"policy": {"a": 1}, "who": "ada"}
        of_part = what | {"inspection_id": 1, "model_verdict": "review", "label": "crack"}
        for decision, undoes in (("accept", None), ("undo", 1), ("reject", None)):
            session.add(reviews.ReviewRow(decision=decision, undoes=undoes, **of_part))
            session.flush()
        line = {"line": "magnetic-tile", "bundle": "joint"}
        session.add(
            PolicyRow(number=1, content={"b": 0.1}, own={"c": 1}, who="bo", why="less", **line)
        )
        release = ReleaseRow(
            batch_id=number, number=1, title="lot", why="done", policy_words="own",
            counts={"accept": 1}, digest="cd" * 32, program="0.1", **what,
        )  # fmt: skip
        rules = RuleSetRow(key="ef" * 32)
        session.add_all([release, rules])
        session.flush()
        session.add(ReleaseFileRow(release_id=release.id, title="record", ending=".json",
                                   mime="application/json", digest="cd" * 32))  # fmt: skip
        session.add(MeasuredRow(rule_set_id=rules.id, inspection_id=1, verdict="reject"))
        session.add(AuditRow(who="ada", what="batch started", details={"batch": number}))
        account = AccountRow(name="Ada", folded="ada", role="admin", secret="$argon2id$")
        token = TokenRow(
            name="MES", folded="mes", digest="12" * 32, scopes=["look"], who="ada", until=now()
        )
        session.add_all([account, token])
        session.flush()
        session.add(SignInRow(digest="34" * 32, account_id=account.id, until=now()))
        drop(session, ["ab" * 32], "ada")
        say_here(session, "a")
        session.add(
            EvaluationRow(
                bundle_version="0" * 12, data="a set", source={"kind": "set"}, state="done",
                who="ada", digest="56" * 32, **line,
            )
        )  # fmt: skip
        session.add(
            LabelledSetRow(
                id=1, title="tiles", line="magnetic-tile", label_mode="multiclass", classes=[],
                who="ada",
            )
        )  # fmt: skip
        session.flush()
        shown = {"digest": "78" * 32, "name": "a.png", "height": 3, "width": 4}
        session.add(LabelledImageRow(id=1, set_id=1, who="ada", label="crack", **shown))
        session.flush()
        session.add(LabelRow(image_id=1, who="ada", label="crack", masks="9a" * 32))
    return store


def rows_of(engine: Engine) -> dict[str, list[dict]]:
    """Of every table, as the database describes itself."""
    tables = MetaData()
    tables.reflect(engine)
    found = {}
    with engine.connect() as connection:
        for table in tables.sorted_tables:
            rows = connection.execute(select(table)).mappings()
            found[table.name] = sorted((_plain(dict(row)) for row in rows), key=repr)
    return found


def _plain(row: dict) -> dict:
    """Moments as SQLite has them, without their zone."""
    return {k: v.replace(tzinfo=None) if hasattr(v, "tzinfo") else v for k, v in row.items()}


def write_rows(engine: Engine, rows: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """As far as the tables of that version have places for them; returns what was written."""
    tables, written = MetaData(), {}
    tables.reflect(engine)
    with engine.begin() as connection:
        for table in tables.sorted_tables:
            if table.name not in rows or table.name == "alembic_version":
                continue
            connection.execute(table.delete())
            names = [column.name for column in table.columns]
            some = [{name: row[name] for name in names if name in row} for row in rows[table.name]]
            if table.name == "lines" and "content" in table.columns:
                content = LINES["magnetic-tile"].model_dump(mode="json")
                some = [row | {"content": content} for row in some]
            connection.execute(insert(table), some)
            written[table.name] = some
    return written


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_row_of_every_table_comes_through(tmp_path, request, kind, version) -> None:
    rows = rows_of(full_store(tmp_path / "new").engine)
    assert {table.name for table in Base.metadata.sorted_tables} <= set(rows)
    assert all(rows[table.name] for table in Base.metadata.sorted_tables), "each has some"
    address = f"sqlite:///{tmp_path / 'old.sqlite3'}"
    if kind == "postgresql":
        database = request.getfixturevalue("postgres")()
        address = database.replace("postgresql:", "postgresql+psycopg:")
    if version < "0009":
        rows["counters"] = [row for row in rows["counters"] if row["name"] != "touched"]
    engine = create_engine(address)
    migrate(engine, version)
    before = write_rows(engine, rows)
    engine.dispose()
    store = open_store(tmp_path / "opened", address)
    after = rows_of(store.engine)
    assert after["alembic_version"] == rows["alembic_version"]
    for name in set(KEPT) & set(before):
        assert len(after[name]) == len(before[name])
        for was, is_now in zip(before[name], after[name], strict=True):
            common = was.keys() & is_now.keys()
            assert {c: is_now[c] for c in common} == {c: was[c] for c in common}, name
    with store.reading() as session:
        assert batches.count_images(session, 1).done == 12
