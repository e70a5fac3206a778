"""Copy all rows of one database into another of the same tables, exactly, whichever kinds they are.

What the columns hold goes over as it is: JSON as its text, so that no number is rounded and NULL
and JSON's own null stay two things.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Integer,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    update,
)

from defectvision.store.tables import Base

TOGETHER = 1000  # rows
TABLES = Base.metadata.sorted_tables


def copy_rows(source: Connection, target: Connection) -> dict[str, int]:
    """Copy every row, within the transactions that are open; returns how many, by table. Of the
    target's tables none may have a row that is copied."""
    copied = {table.name: _copy(table, source, target) for table in TABLES}
    if target.dialect.name == "postgresql":
        for table in TABLES:
            _count_on(table, target)
    return copied


def remove_rows(target: Connection) -> None:
    """Remove every row of every table."""
    for table in reversed(TABLES):
        for column in _own(table):
            target.execute(update(table).values({column.name: None}))
        target.execute(delete(table))


def _copy(table: Table, source: Connection, target: Connection) -> int:
    wanted = select(*(cast(c, Text).label(c.name) if _is_json(c) else c for c in table.columns))
    wanted = wanted.order_by(*table.primary_key.columns)
    own = {column.name for column in _own(table)}
    values = {column.name: _placed(column, target) for column in table.columns}
    write, copied = insert(table).values(values), 0
    for rows in (
        source.execution_options(yield_per=TOGETHER).execute(wanted).mappings().partitions()
    ):
        some = [
            {f"v_{name}": None if name in own else value for name, value in row.items()}
            for row in rows
        ]
        target.execute(write, some)
        copied += len(some)
    for column in _own(table):
        _link(table, column, source, target)
    return copied


def _link(table: Table, column: Column[int], source: Connection, target: Connection) -> None:
    """Where a row names another one of its table, which may come later: once all are there."""
    (key,) = table.primary_key.columns
    wanted = select(key.label("v_key"), column.label("v_other")).where(column.is_not(None))
    link = update(table).where(key == bindparam("v_key"))
    link = link.values({column.name: bindparam("v_other")})
    for rows in (
        source.execution_options(yield_per=TOGETHER).execute(wanted).mappings().partitions()
    ):
        target.execute(link, [dict(row) for row in rows])


def _own(table: Table) -> list[Column[int]]:
    """The columns that name a row of the same table."""
    return [c for c in table.columns if any(k.column.table is table for k in c.foreign_keys)]


def _is_json(column: Column[object]) -> bool:
    return isinstance(getattr(column.type, "impl_instance", column.type), JSON)


def _placed(column: Column[object], target: Connection) -> object:
    value = bindparam(f"v_{column.name}", type_=Text() if _is_json(column) else column.type)
    # SQLite keeps JSON as text, and would take a cast to it for one to a number.
    cannot = target.dialect.name != "postgresql" or not _is_json(column)
    return value if cannot else cast(value, JSON)


def _count_on(table: Table, target: Connection) -> None:
    """Have PostgreSQL number new rows after the copied ones."""
    keys = list(table.primary_key.columns)
    if len(keys) == 1 and isinstance(getattr(keys[0].type, "impl", keys[0].type), Integer):
        sequence = func.pg_get_serial_sequence(table.name, keys[0].name)
        highest = select(func.max(keys[0])).scalar_subquery()
        if target.scalar(select(sequence)) is not None and target.scalar(select(highest)):
            target.execute(select(func.setval(sequence, highest)))
