"""The tables of who may do what: accounts, who is signed in, and tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from defectvision.store.base import Base, Key, now
from defectvision.store.columns import Name


class AccountRow(Base):
    """Somebody who may sign in; see store/accounts.py.

    folded: the name as names are compared. secret: the password's Argon2 hash; empty for who signs
    in with an OpenID provider. ended: since when they may not any more.
    """

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    name: Mapped[str] = mapped_column(Name(200))
    folded: Mapped[str] = mapped_column(Name(200), unique=True)
    role: Mapped[str] = mapped_column(Name(16))
    secret: Mapped[str] = mapped_column(Name(200), default="")
    made: Mapped[datetime] = mapped_column(default=now)
    ended: Mapped[datetime | None]


class SignInRow(Base):
    """An account that is signed in. digest: SHA-256 of what the browser keeps."""

    __tablename__ = "sign_ins"

    digest: Mapped[str] = mapped_column(Name(64), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    until: Mapped[datetime]


class TokenRow(Base):
    """A token for the REST API; see store/tokens.py. digest: SHA-256 of the token, which is kept
    nowhere. who: made it. used: last, to within some minutes."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    name: Mapped[str] = mapped_column(Name(200))
    folded: Mapped[str] = mapped_column(Name(200), unique=True)
    digest: Mapped[str] = mapped_column(Name(64), unique=True)
    scopes: Mapped[list[Any]]
    who: Mapped[str] = mapped_column(Name(200))
    made: Mapped[datetime] = mapped_column(default=now)
    until: Mapped[datetime]
    used: Mapped[datetime | None]
    ended: Mapped[datetime | None]
