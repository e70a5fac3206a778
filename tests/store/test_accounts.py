"""Accounts and tokens: who gets in, with what, for how long, and what the record says of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from defectvision.people import Action, NotAllowedError, Person, Role, in_role
from defectvision.store import accounts, tokens
from defectvision.store.accounts import WrongPasswordError
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.tables import AccountRow, AuditRow, SignInRow, TokenRow, now
from tests.stand_ins.quick import SHIPPED_HASHER
from tests.stand_ins.stores import new_store

ADMIN = in_role("root", Role.ADMIN)
WORD = "correct horse battery"


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    new_database = request.getfixturevalue("postgres") if request.param != "sqlite" else str
    made = new_store(tmp_path, new_database())
    with made.session() as session:
        accounts.add_account(session, ADMIN, "root", Role.ADMIN, WORD)
        accounts.add_account(session, ADMIN, "Anna", Role.INSPECTOR, WORD)
    return made


def who_is(store: Store, token: str) -> Person | None:
    with store.reading() as session:
        return accounts.signed_in(session, token)


def test_the_right_password_opens_and_nothing_else_does(store) -> None:
    token = accounts.sign_in(store, " anna ", WORD)  # names are compared as people read them
    assert who_is(store, token) == in_role("Anna", Role.INSPECTOR)
    for name, password in [("anna", WORD + "!"), ("anna", ""), ("nobody", WORD), ("", "")]:
        with pytest.raises(WrongPasswordError):
            accounts.sign_in(store, name, password)
    for other in ("", token[:-1], token + "x", "\0", "\ud800"):
        assert who_is(store, other) is None


def test_neither_password_nor_token_is_kept(store) -> None:
    token = accounts.sign_in(store, "anna", WORD)
    with store.session() as session:
        mine = tokens.make_token(session, ADMIN, "mes", [Action.LOOK], 1)
    with store.reading() as session:
        kept = [
            str(value)
            for table in (AccountRow, SignInRow, TokenRow, AuditRow)
            for row in session.execute(select(*table.__table__.columns))
            for value in row
        ]
        assert session.scalars(select(AccountRow.secret)).first().startswith("$argon2id$")
    assert not any(secret in text for text in kept for secret in (WORD, token, mine))


def test_a_password_is_hashed_as_rfc_9106_says() -> None:
    secret = SHIPPED_HASHER().hash(WORD)
    assert secret.startswith("$argon2id$v=19$m=65536,t=3,p=4$"), secret
    assert accounts._matches(secret, WORD) and not accounts._matches(secret, WORD + "!")


def test_a_changed_role_holds_at_once_and_an_end_shuts_out(store) -> None:
    token = accounts.sign_in(store, "anna", WORD)
    with store.session() as session:
        accounts.set_role(session, ADMIN, "ANNA", Role.VIEWER)
    assert not who_is(store, token).may(Action.DECIDE)
    with store.session() as session:
        accounts.end_account(session, ADMIN, "anna")
    assert who_is(store, token) is None
    with pytest.raises(WrongPasswordError):
        accounts.sign_in(store, "anna", WORD)
    with store.session() as session:
        accounts.end_account(session, ADMIN, "anna", ended=False)
    assert who_is(store, token) is None, "an old sign-in came back"
    assert who_is(store, accounts.sign_in(store, "anna", WORD))


def test_a_new_password_ends_where_one_was_signed_in(store) -> None:
    mine, elsewhere = (accounts.sign_in(store, "anna", WORD) for _ in range(2))
    anna = who_is(store, mine)
    with store.session() as session, pytest.raises(WrongPasswordError):
        accounts.change_password(session, anna, "not it", "another long one")
    with store.session() as session:
        accounts.change_password(session, anna, WORD, "another long one")
    assert who_is(store, mine) is None and who_is(store, elsewhere) is None
    with pytest.raises(WrongPasswordError):
        accounts.sign_in(store, "anna", WORD)
    assert who_is(store, accounts.sign_in(store, "anna", "another long one"))


def test_a_sign_in_ends_by_itself_and_by_signing_out(store) -> None:
    token, other = (accounts.sign_in(store, "anna", WORD) for _ in range(2))
    with store.session() as session:
        accounts.sign_out(session, token)
    assert who_is(store, token) is None and who_is(store, other)
    with store.session() as session:
        for row in session.scalars(select(SignInRow)):
            row.until = now() - timedelta(seconds=1)
    assert who_is(store, other) is None


@pytest.mark.parametrize(
    ("name", "password", "words"),
    [
        ("anna", WORD, "taken"),
        ("ＡＮＮＡ", WORD, "taken"),  # noqa: RUF001  # letters that look the same
        ("mes", WORD, "taken"),
        ("", WORD, "1 to 200"),
        ("a\x1b[2J", WORD, "printed"),
        ("x" * 201, WORD, "1 to 200"),
        ("bo", "short", "10 to 200"),
        ("bo", "x" * 201, "10 to 200"),
        ("bo the builder", "Bo the Builder", "is the name"),
    ],
)
def test_what_cannot_be_an_account_is_refused(store, name, password, words) -> None:
    with store.session() as session:
        tokens.make_token(session, ADMIN, "MES", [Action.LOOK], 1)
    with store.session() as session, pytest.raises(StoreError, match=words):
        accounts.add_account(session, ADMIN, name, Role.VIEWER, password)


@pytest.mark.parametrize("how", ["role", "end"])
def test_the_last_admin_stays(store, how) -> None:
    with pytest.raises(StoreError, match="another admin"), store.session() as session:
        if how == "role":
            accounts.set_role(session, ADMIN, "root", Role.ENGINEER)
        else:
            accounts.end_account(session, ADMIN, "root")
    assert who_is(store, accounts.sign_in(store, "root", WORD)).may(Action.ACCESS)


def test_who_signs_in_at_a_provider_has_no_password_here(store) -> None:
    with store.session() as session:
        accounts.add_account(session, ADMIN, "cy@plant.example", Role.ENGINEER, None)
    with store.reading() as session:
        assert accounts.known_as(session, "Cy@plant.example").may(Action.POLICY)
        assert accounts.known_as(session, "anna") is None, "a provider vouched for a local name"
    for password in ("", "cy@plant.example"):
        with pytest.raises(WrongPasswordError):
            accounts.sign_in(store, "cy@plant.example", password)


def test_a_token_does_what_it_may_until_it_ends(store) -> None:
    with store.session() as session:
        token = tokens.make_token(session, ADMIN, "mes", [Action.LOOK, Action.INSPECT], 30)
    mes = tokens.who_shows(store, token)
    assert mes == Person("mes", frozenset({Action.LOOK, Action.INSPECT}), "a token")
    assert tokens.who_shows(store, token[:-1]) is None and tokens.who_shows(store, "") is None
    with store.reading() as session:
        assert session.scalars(select(TokenRow.used)).one() is not None
    with store.session() as session:
        session.scalars(select(TokenRow)).one().until = now()
    assert tokens.who_shows(store, token) is None, "it expired"
    with store.session() as session:
        session.scalars(select(TokenRow)).one().until = now() + timedelta(days=1)
        tokens.end_token(session, ADMIN, "Mes")
    assert tokens.who_shows(store, token) is None


def test_nobody_hands_out_what_they_may_not_do(store) -> None:
    only_access = Person("door", frozenset({Action.ACCESS}), "a key keeper")
    with store.session() as session, pytest.raises(NotAllowedError, match="put a policy"):
        tokens.make_token(session, only_access, "mes", [Action.POLICY], 1)
    with store.session() as session, pytest.raises(StoreError, match="scope"):
        tokens.make_token(session, ADMIN, "mes", [], 1)


def test_the_audit_trail_says_who_let_whom_in(store) -> None:
    with store.session() as session:
        tokens.make_token(session, ADMIN, "mes", [Action.LOOK], 1)
        tokens.end_token(session, ADMIN, "mes")
        accounts.set_role(session, ADMIN, "anna", Role.ENGINEER)
        accounts.set_password(session, ADMIN, "anna", WORD)
        accounts.end_account(session, ADMIN, "anna")
    with store.reading() as session:
        rows = session.scalars(select(AuditRow).order_by(AuditRow.id)).all()
    assert [(row.who, row.what) for row in rows[2:]] == [
        ("root", "token made"), ("root", "token ended"), ("root", "role changed"),
        ("root", "password set"), ("root", "account ended"),
    ]  # fmt: skip
    assert rows[4].details == {"account": "Anna", "role": "engineer", "before": "inspector"}
