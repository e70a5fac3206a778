"""Which workers are at the store, and when something of a batch was last done"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "workers",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("program", sa.String(length=64), nullable=False),
        sa.Column("seen", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    # One that is written where somebody asks whether the database can be.
    counters = sa.table("counters", sa.column("name"), sa.column("last"))
    op.execute(counters.insert().values(name="touched", last=0))
    # Not in batch mode, see 0002.
    op.add_column("batches", sa.Column("worked", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.execute("delete from counters where name = 'touched'")
    op.drop_column("batches", "worked")
    op.drop_table("workers")
