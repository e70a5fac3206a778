"""Who inspects the images of a batch"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not in batch mode, see 0002.
    op.add_column(
        "batches",
        sa.Column("engine", sa.String(length=16), nullable=False, server_default="local"),
    )


def downgrade() -> None:
    op.drop_column("batches", "engine")
