"""Tokens for the REST API: made once, kept as a hash, with what they may do and until when."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from defectvision.people import Action, Person, needs
from defectvision.store.accounts import checked_name, folded
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.files import digest_of
from defectvision.store.tables import AuditRow, TokenRow, now

MOST_DAYS = 3650
USED_EVERY = timedelta(minutes=10)  # a use is written down at most this often
BEGIN = "dv_"  # by which people and scanners know a token when they see one


def all_tokens(session: Session) -> list[TokenRow]:
    """By name, the ended ones too."""
    return list(session.scalars(select(TokenRow).order_by(TokenRow.folded)))


@needs(Action.ACCESS)
def make_token(
    session: Session, who: Person, name: str, scopes: Collection[Action], days: int
) -> str:
    """A new token, which is shown this once and good for `days` days. Raises StoreError for a name
    that is taken, for no scope, and for a scope that who makes it does not have."""
    name = checked_name(session, name)
    if not scopes:
        raise StoreError("a token needs at least one scope: say what its program may do")
    if not 1 <= days <= MOST_DAYS:
        raise StoreError(f"a token is good for 1 to {MOST_DAYS} days")
    for scope in scopes:
        who.must(scope)
    token = BEGIN + secrets.token_urlsafe(32)
    row = TokenRow(
        name=name,
        folded=folded(name),
        digest=digest_of(token.encode()),
        scopes=sorted(scope.value for scope in scopes),
        who=who.kept_as,
        until=now() + timedelta(days=days),
    )
    session.add(row)
    details = {"token": name, "scopes": row.scopes, "until": f"{row.until:%Y-%m-%d}"}
    session.add(AuditRow(who=row.who, what="token made", details=details))
    session.flush()
    return token


@needs(Action.ACCESS)
def end_token(session: Session, who: Person, name: str) -> None:
    """From now on it opens nothing; raises StoreError where there is none of that name."""
    row = session.scalar(select(TokenRow).where(TokenRow.folded == folded(name)))
    if row is None:
        raise StoreError(f"there is no token {name}. See: defectvision tokens")
    row.ended = row.ended or now()
    name = who.kept_as
    session.add(AuditRow(who=name, what="token ended", details={"token": row.name}))


def who_shows(store: Store, token: str) -> Person | None:
    """Whose a token is, where it is good; notes from time to time that it was used."""
    wanted = select(TokenRow).where(
        TokenRow.digest == digest_of(token.encode(errors="replace")),
        TokenRow.ended.is_(None),
        TokenRow.until > now(),
    )
    with store.reading() as session:
        row = session.scalar(wanted)
    if row is None:
        return None
    if row.used is None or now() - row.used > USED_EVERY:
        with store.session() as session:
            session.execute(update(TokenRow).where(TokenRow.id == row.id).values(used=now()))
    return Person(row.name, frozenset(map(Action, row.scopes)), "a token")
