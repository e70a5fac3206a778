"""What the reviews of a part come to, releases of a lot, and numbers that are given once"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDEX = "ix_inspections_verdict"
COLUMNS = [
    "batch_id", "state", "defect_score", "judged", "score_bin", "top", "top_ok",
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
    _add_releases()
    _add_counter(op.get_bind())


def _add_releases() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "releases",
        sa.Column("id", key, nullable=False),
        sa.Column("batch_id", key, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.Column("policy_words", sa.Text(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("program", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("batch_id", "number"),
    )
    op.create_table(
        "release_files",
        sa.Column("id", key, nullable=False),
        sa.Column("release_id", key, nullable=False),
        sa.Column("title", sa.String(length=64), nullable=False),
        sa.Column("ending", sa.String(length=64), nullable=False),
        sa.Column("mime", sa.String(length=100), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    for name in ("release_id", "digest"):
        op.create_index(f"ix_release_files_{name}", "release_files", [name])


def _add_counter(connection: sa.Connection) -> None:
    """Go on counting after the highest number that any batch has or had."""
    counters = op.create_table(
        "counters",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    last = connection.scalar(sa.text("select max(id) from batches")) or 0
    audit = sa.table("audit", sa.column("details", sa.JSON()))
    for details in connection.scalars(sa.select(audit.c.details)):
        if isinstance(details, dict) and isinstance(details.get("batch"), int):
            last = max(last, details["batch"])
    connection.execute(counters.insert().values(name="batches", last=last))


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
    for table in ("counters", "release_files", "releases"):
        op.drop_table(table)
    op.drop_index(INDEX, "inspections")
    op.create_index(INDEX, "inspections", COLUMNS)
    op.drop_column("reviews", "settles")
    for name in ("decided_at", "decided_note", "decided_by", "decided_label", "decision"):
        op.drop_column("inspections", name)
