"""What the store is and how old, files that wait to be removed, and when an image was looked at"""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    about = op.create_table(
        "about_store",
        sa.Column("identity", sa.String(length=36), nullable=False),
        sa.Column("writes", sa.BigInteger(), nullable=False),
        sa.Column("age", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.DateTime(timezone=True), nullable=True),
        sa.Column("steady_from", sa.BigInteger(), nullable=False),
        sa.Column("standstill", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("identity"),
    )
    new = {"writes": 0, "age": 0, "steady_from": 0, "standstill": ""}
    op.execute(about.insert().values(identity=str(uuid4()), **new))
    op.create_table(
        "dropped_files",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("age", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_dropped_files_age", "dropped_files", ["age"])
    # Not in batch mode, see 0002. Pictures of before are as old as the store: their days begin now,
    # as no clock of then can be trusted.
    whole = {"nullable": False, "server_default": "0"}
    op.add_column("inspections", sa.Column("aged", sa.BigInteger(), **whole))
    op.add_column("inspections", sa.Column("tries", sa.Integer(), **whole))
    op.add_column("inspections", sa.Column("stamp", sa.Text(), nullable=False, server_default=""))
    for name in ("record", "thumbnail"):
        op.create_index(f"ix_inspections_{name}", "inspections", [name])


def downgrade() -> None:
    for name in ("record", "thumbnail"):
        op.drop_index(f"ix_inspections_{name}", "inspections")
    for name in ("stamp", "tries", "aged"):
        op.drop_column("inspections", name)
    for table in ("dropped_files", "about_store"):
        op.drop_table(table)
