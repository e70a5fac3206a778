"""Who works on a batch, and how many files of its source are no images"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not in batch mode: where that copies the table, SQLite drops the old one, and all inspections
    # go with it by ON DELETE CASCADE.
    op.add_column("batches", sa.Column("holder", sa.String(length=200), nullable=True))
    op.add_column("batches", sa.Column("held_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("batches", sa.Column("beats", sa.Integer(), nullable=False, server_default="0"))
    op.add_column(
        "batches", sa.Column("passed_over", sa.JSON(), nullable=False, server_default="{}")
    )


def downgrade() -> None:
    for name in ("passed_over", "beats", "held_since", "holder"):
        op.drop_column("batches", name)
