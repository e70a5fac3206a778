"""Run by alembic: bring the connection that `store.migrate` hands over to the wanted version."""

from alembic import context

from defectvision.store.columns import Instant, SourceColumn
from defectvision.store.tables import Base

PLAIN = {Instant: "sa.DateTime(timezone=True)", SourceColumn: "sa.JSON()"}


def plainly(kind: str, thing: object, _context: object) -> str | bool:
    """How a new migration spells a type of ours: it must not change when the type does."""
    return PLAIN.get(type(thing), False) if kind == "type" else False


connection = context.config.attributes["connection"]
# SQLite changes a table by copying it; batch mode lets one migration serve both databases.
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=True,
    render_item=plainly,
)
with context.begin_transaction():
    context.run_migrations()
