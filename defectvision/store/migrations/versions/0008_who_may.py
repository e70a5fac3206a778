"""Accounts, who is signed in, and tokens for the REST API"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "accounts",
        sa.Column("id", key, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("folded", sa.String(200), nullable=False, unique=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("secret", sa.String(200), nullable=False),
        sa.Column("made", moment, nullable=False),
        sa.Column("ended", moment),
    )
    account = sa.ForeignKey("accounts.id", ondelete="CASCADE")
    op.create_table(
        "sign_ins",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("account_id", key, account, nullable=False),
        sa.Column("until", moment, nullable=False),
    )
    op.create_table(
        "tokens",
        sa.Column("id", key, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("folded", sa.String(200), nullable=False, unique=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("made", moment, nullable=False),
        sa.Column("until", moment, nullable=False),
        sa.Column("used", moment),
        sa.Column("ended", moment),
    )


def downgrade() -> None:
    for table in ("tokens", "sign_ins", "accounts"):
        op.drop_table(table)
