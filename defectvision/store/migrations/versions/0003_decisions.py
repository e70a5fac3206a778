"""What the reviews of a part come to, kept with its row, and numbers that are used once"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INDEX = "ix_inspections_verdict"
COLUMNS = [
    "batch_id", "state", "defect_score", "foreign_score", "score_bin", "top", "top_ok",
    "top_defect", *(f"p{i}" for i in range(8)),
]  # fmt: skip


def upgrade() -> None:
    for name in ("decision", "decided_label", "decided_by", "decided_note"):
        kind = sa.String(length=16) if name == "decision" else sa.Text()
        op.add_column("inspections", sa.Column(name, kind, nullable=False, server_default=""))
    op.add_column("inspections", sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "reviews", sa.Column("settles", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.drop_index(INDEX, "inspections")
    op.create_index(INDEX, "inspections", [*COLUMNS, "decision", "decided_label"])
    _settle(op.get_bind())


def _settle(connection: sa.Connection) -> None:
    """Keep with each inspection what its reviews of before come to."""
    reviews = sa.table(
        "reviews",
        *(sa.column(name) for name in ("id", "inspection_id", "who", "decision", "label", "why")),
        sa.column("undoes"),
        sa.column("at", sa.DateTime(timezone=True)),
    )
    inspections = sa.table(
        "inspections",
        *(sa.column(n) for n in ("id", "decision", "decided_label", "decided_by", "decided_note")),
        sa.column("decided_at", sa.DateTime(timezone=True)),
    )
    rows = connection.execute(sa.select(reviews).order_by(reviews.c.id)).all()
    undone = {row.undoes for row in rows}
    words: dict[int, dict[str, sa.Row]] = {}
    for row in rows:
        if row.undoes is None and row.id not in undone:
            words.setdefault(row.inspection_id, {})[row.who] = row
    for inspection, by_person in words.items():
        said = sorted(by_person.values(), key=lambda row: row.id)
        agreed = len({row.decision for row in said}) == 1
        connection.execute(
            sa.update(inspections)
            .where(inspections.c.id == inspection)
            .values(
                decision=said[-1].decision if agreed else "review",
                decided_label=said[-1].label if agreed else "",
                decided_by=", ".join(row.who for row in said),
                decided_at=said[-1].at,
                decided_note="; ".join(row.why for row in said if row.why),
            )
        )


def downgrade() -> None:
    op.drop_index(INDEX, "inspections")
    op.create_index(INDEX, "inspections", COLUMNS)
    op.drop_column("reviews", "settles")
    for name in ("decided_at", "decided_note", "decided_by", "decided_label", "decision"):
        op.drop_column("inspections", name)
