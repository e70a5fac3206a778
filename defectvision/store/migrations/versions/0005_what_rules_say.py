"""What the rules of a policy say of a part, so that the database counts by it"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "rule_sets",
        sa.Column("id", key, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("used", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_table(
        "measured",
        sa.Column("rule_set_id", key, nullable=False),
        sa.Column("inspection_id", key, nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["rule_set_id"], ["rule_sets.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["inspection_id"], ["inspections.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("rule_set_id", "inspection_id"),
    )
    op.create_index("ix_measured_inspection_id", "measured", ["inspection_id"])


def downgrade() -> None:
    op.drop_table("measured")
    op.drop_table("rule_sets")
