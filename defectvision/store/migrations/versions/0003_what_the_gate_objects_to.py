"""What the gate objects to, which decides in place of the bare foreign score"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INDEX = "ix_inspections_verdict"
BEFORE, AFTER = ("batch_id", "state", "defect_score"), (
    *("score_bin", "top", "top_ok", "top_defect"),
    *("p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"),
)  # fmt: skip
UNLIKE = [{"kind": "unlike", "words": "unlike this line"}]


def upgrade() -> None:
    # Not in batch mode, see 0002.
    op.add_column(
        "inspections", sa.Column("objections", sa.JSON(), nullable=False, server_default="[]")
    )
    op.add_column(
        "inspections", sa.Column("judged", sa.Boolean(), nullable=False, server_default=sa.true())
    )
    rows = sa.table(
        "inspections",
        sa.column("foreign_score", sa.Double()),
        sa.column("objections", sa.JSON()),
        sa.column("judged", sa.Boolean()),
    )
    op.execute(
        rows.update().where(rows.c.foreign_score > 1).values(objections=UNLIKE, judged=False)
    )
    op.drop_index(INDEX, "inspections")
    op.create_index(INDEX, "inspections", [*BEFORE, "judged", *AFTER])


def downgrade() -> None:
    op.drop_index(INDEX, "inspections")
    op.create_index(INDEX, "inspections", [*BEFORE, "foreign_score", *AFTER])
    for name in ("judged", "objections"):
        op.drop_column("inspections", name)
