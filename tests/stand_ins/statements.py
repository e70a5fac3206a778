"""What a database is asked and how it answers, for tests of how much that is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import Engine, event


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """What is asked meanwhile, but for the beginnings of transactions."""
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


@contextmanager
def plans(engine: Engine) -> Iterator[dict[str, str]]:
    """How the database goes about what it is asked meanwhile, by statement. PostgreSQL is to take
    an index wherever one will do: of the few rows of a test it would read all."""
    found: dict[str, str] = {}
    before, explain = "", "EXPLAIN QUERY PLAN"
    if engine.dialect.name == "postgresql":
        before = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"
        explain = "EXPLAIN"

    def note(_connection: object, cursor: Any, statement: str, given: Any, *_: object) -> None:
        if statement.startswith(("SELECT", "DELETE")):
            with closing(cursor.connection.cursor()) as own:
                own.execute(before)
                own.execute(f"{explain} {statement}", given)
                found[statement] = "\n".join(row[-1] for row in own.fetchall())

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)
