"""Accounts: who may sign in and in which role, their passwords, and who is signed in."""

from __future__ import annotations

import secrets
import unicodedata
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from defectvision.people import LONGEST_NAME, Action, Person, Role, in_role, needs
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.files import digest_of
from defectvision.store.tables import AccountRow, AuditRow, SignInRow, TokenRow, now

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST_PASSWORD = 10  # characters
LONGEST_PASSWORD = 200
SIGNED_IN = timedelta(hours=12)  # a long shift


class WrongPasswordError(StoreError):
    """Name and password do not belong together, or the account is ended; which is not said."""


def folded(name: str) -> str:
    """A name as names are compared: Anna and anna are one person."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def all_accounts(session: Session) -> list[AccountRow]:
    """By name, the ended ones too."""
    return list(session.scalars(select(AccountRow).order_by(AccountRow.folded)))


@needs(Action.ACCESS)
def add_account(
    session: Session, who: Person, name: str, role: Role, password: str | None
) -> AccountRow:
    """Let somebody sign in; without a password, with the OpenID provider that knows them under that
    name. Raises StoreError for a name that is taken or a password that is too short."""
    name = checked_name(session, name)
    secret = "" if password is None else _hashed(password, name)
    row = AccountRow(name=name, folded=folded(name), role=role.value, secret=secret)
    session.add(row)
    _told(session, who, "account made", row)
    session.flush()
    return row


def checked_name(session: Session, name: str) -> str:
    """A name for an account or a token; raises StoreError where it cannot stand for one."""
    name = unicodedata.normalize("NFKC", name).strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise StoreError(f"a name has 1 to {LONGEST_NAME} characters, all of which can be printed")
    for table in (AccountRow, TokenRow):
        if session.scalar(select(table.id).where(table.folded == folded(name))):
            raise StoreError(
                f"{name} is taken. A name stands for one person or program for ever, since "
                "decisions are kept under it"
            )
    return name


@needs(Action.ACCESS)
def set_role(session: Session, who: Person, name: str, role: Role) -> None:
    """Raises StoreError where no admin would be left."""
    row = get_account(session, name)
    before, row.role = row.role, role.value
    _told(session, who, "role changed", row, before=before)
    _keep_an_admin(session)


@needs(Action.ACCESS)
def set_password(session: Session, who: Person, name: str, password: str) -> None:
    """A new password, by an admin; ends where they are signed in."""
    row = get_account(session, name)
    row.secret = _hashed(password, row.name)
    _sign_out_everywhere(session, row)
    _told(session, who, "password set", row)


@needs(Action.LOOK)
def change_password(session: Session, who: Person, old: str, new: str) -> None:
    """One's own; ends where one is signed in elsewhere and here. Raises WrongPasswordError."""
    row = get_account(session, who.name)
    if not _matches(row.secret, old):
        raise WrongPasswordError("the password until now is not right")
    row.secret = _hashed(new, row.name)
    _sign_out_everywhere(session, row)
    _told(session, who, "password changed", row)


@needs(Action.ACCESS)
def end_account(session: Session, who: Person, name: str, ended: bool = True) -> None:
    """End an account, or with `ended` False open it again; what they did stays under their name.
    Raises StoreError where no admin would be left."""
    row = get_account(session, name)
    row.ended = now() if ended else None
    _sign_out_everywhere(session, row)
    _told(session, who, "account ended" if ended else "account opened again", row)
    _keep_an_admin(session)


def sign_in(store: Store, name: str, password: str) -> str:
    """What a browser is to keep and to show again; raises WrongPasswordError.

    Takes as long for a name that there is not, so that nobody can ask which there are.
    """
    with store.reading() as session:
        row = session.scalar(select(AccountRow).where(AccountRow.folded == folded(name)))
    secret = row.secret if row and row.ended is None else ""
    right = _matches(secret or _nobodys(), password[: LONGEST_PASSWORD + 1])
    if row is None or not secret or not right:
        raise WrongPasswordError("name and password do not belong together")
    token = secrets.token_urlsafe(32)
    with store.session() as session:
        account = session.get_one(AccountRow, row.id)
        if account.secret == secret and _hasher().check_needs_rehash(secret):
            account.secret = _hasher().hash(password)
        session.execute(delete(SignInRow).where(SignInRow.until < now()))
        digest = digest_of(token.encode())
        session.add(SignInRow(digest=digest, account_id=row.id, until=now() + SIGNED_IN))
    return token


def signed_in(session: Session, token: str) -> Person | None:
    """Who showed the token, in the role that they have now."""
    row = session.scalar(
        select(AccountRow)
        .join(SignInRow, SignInRow.account_id == AccountRow.id)
        .where(
            SignInRow.digest == digest_of(token.encode(errors="replace")),
            SignInRow.until > now(),
            AccountRow.ended.is_(None),
        )
    )
    return in_role(row.name, Role(row.role)) if row else None


def known_as(session: Session, name: str) -> Person | None:
    """The person of an account that signs in with an OpenID provider, which vouches for `name`."""
    row = session.scalar(
        select(AccountRow).where(
            AccountRow.folded == folded(name), AccountRow.ended.is_(None), AccountRow.secret == ""
        )
    )
    return in_role(row.name, Role(row.role)) if row else None


def sign_out(session: Session, token: str) -> None:
    """The browser's token is worth nothing from then on."""
    session.execute(delete(SignInRow).where(SignInRow.digest == digest_of(token.encode())))


def get_account(session: Session, name: str) -> AccountRow:
    """The account, ended or not; raises StoreError where there is none of that name."""
    row = session.scalar(select(AccountRow).where(AccountRow.folded == folded(name)))
    if row is None:
        raise StoreError(f"there is no account {name}. See: defectvision accounts")
    return row


def _told(session: Session, who: Person, what: str, row: AccountRow, **more: str) -> None:
    details = {"account": row.name, "role": row.role, **more}
    session.add(AuditRow(who=who.kept_as, what=what, details=details))


def _sign_out_everywhere(session: Session, row: AccountRow) -> None:
    session.execute(delete(SignInRow).where(SignInRow.account_id == row.id))


def _keep_an_admin(session: Session) -> None:
    session.flush()
    admins = select(func.count()).where(
        AccountRow.role == Role.ADMIN.value, AccountRow.ended.is_(None)
    )
    if not session.scalar(admins):
        raise StoreError("nobody would be left who can make accounts: make another admin first")


@lru_cache(maxsize=1)
def _hasher() -> PasswordHasher:
    """Argon2id with the library's defaults, those of RFC 9106 for little memory (64 MiB)."""
    from argon2 import PasswordHasher

    return PasswordHasher()


@lru_cache(maxsize=1)
def _nobodys() -> str:
    return _hasher().hash(secrets.token_urlsafe(16))


def _hashed(password: str, name: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise StoreError(
            f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters: several words "
            "are easier to keep in mind than signs"
        )
    if folded(password) == folded(name):
        raise StoreError("the password is the name: choose another one")
    return _hasher().hash(password)


def _matches(secret: str, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return _hasher().verify(secret, password)
    except (VerificationError, InvalidHashError):
        return False
