"""For which model of a bundle a policy was saved"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not in batch mode, see 0002.
    op.add_column("policies", sa.Column("own", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("policies", "own")
