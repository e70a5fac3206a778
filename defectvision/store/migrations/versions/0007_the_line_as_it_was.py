"""The line stays with each batch as it was when the batch began"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

GREY = "#6b7280"


def upgrade() -> None:
    # Not in batch mode, see 0002.
    empty = {"nullable": False, "server_default": "{}"}
    op.add_column("batches", sa.Column("line_content", sa.JSON(), **empty))
    connection = op.get_bind()
    lines = sa.table("lines", sa.column("name"), sa.column("content", sa.JSON()))
    known = {row.name: row.content for row in connection.execute(sa.select(lines))}
    batches = sa.table(
        "batches", sa.column("id"), sa.column("line"), sa.column("line_content", sa.JSON())
    )
    for number, name in connection.execute(sa.select(batches.c.id, batches.c.line)).all():
        content = _as_inspected(connection, number, known[name])
        changed = sa.update(batches).where(batches.c.id == number)
        connection.execute(changed.values(line_content=content))
    op.drop_column("lines", "content")


def _as_inspected(connection: sa.Connection, batch: int, line: dict[str, Any]) -> dict[str, Any]:
    """The line with the classes that the batch's probabilities name: only the newest line of a name
    was kept before. A class that it no longer has is taken for a defect."""
    inspections = sa.table(
        "inspections", sa.column("batch_id"), sa.column("probabilities", sa.JSON())
    )
    rows = sa.select(inspections.c.probabilities).where(inspections.c.batch_id == batch)
    wanted = rows.where(sa.cast(inspections.c.probabilities, sa.Text).like("{%"))
    found = connection.execute(wanted.limit(1)).scalar()
    if found is None or list(found) == [one["name"] for one in line["classes"]]:
        return line
    today = {one["name"]: one for one in line["classes"]}
    gone = {"kind": "defect", "colour": GREY}
    classes = [today.get(name, {"name": name, "title": name, **gone}) for name in found]
    return {**line, "classes": classes}


def downgrade() -> None:
    op.add_column(
        "lines", sa.Column("content", sa.JSON(), nullable=False, server_default=json.dumps({}))
    )
    op.drop_column("batches", "line_content")
