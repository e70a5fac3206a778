"""`defectvision accounts` and `defectvision tokens`: who may sign in, and programs of the API."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from defectvision.cli.options import Json
from defectvision.cli.terminal import clear_errors, out
from defectvision.people import Action, Person, Role, unproven
from defectvision.settings import the_store

accounts_app = typer.Typer(help="Accounts: who may sign in, and in which role.")
tokens_app = typer.Typer(help="Tokens, with which programs use the REST API.")
Name = Annotated[str, typer.Argument(help="name of the account")]
FromInput = Annotated[
    bool, typer.Option("--password-stdin", help="read the password from the standard input")
]


@accounts_app.callback(invoke_without_command=True)
def accounts(context: typer.Context, as_json: Json = False) -> None:
    """List the accounts."""
    if context.invoked_subcommand is not None:
        return
    with clear_errors():
        from defectvision.store.accounts import all_accounts

        with the_store().reading() as session:
            rows = all_accounts(session)
    listed = [
        {
            "name": row.name,
            "role": row.role,
            "password": bool(row.secret),
            "ended": row.ended and row.ended.isoformat(),
        }
        for row in rows
    ]
    _print(listed, as_json, "no account yet. Make the first: defectvision accounts add NAME")


@accounts_app.command("add")
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="what the account may do")] = Role.INSPECTOR,
    openid: Annotated[
        bool, typer.Option("--openid", help="signs in with the OpenID provider, by this name")
    ] = False,
    password_stdin: FromInput = False,
) -> None:
    """Make an account; asks for its password."""
    with clear_errors():
        from defectvision.store.accounts import add_account

        password = None if openid else _password(password_stdin)
        with the_store().session() as session:
            add_account(session, _here(), name, role, password)
    out.say(f"{name} has an account, as {role}.")


@accounts_app.command("role")
def role(name: Name, role: Annotated[Role, typer.Argument()]) -> None:
    """Give an account another role."""
    with clear_errors():
        from defectvision.store.accounts import set_role

        with the_store().session() as session:
            set_role(session, _here(), name, role)
    out.say(f"{name} is {role} from now on.")


@accounts_app.command("password")
def password(name: Name, password_stdin: FromInput = False) -> None:
    """Set an account's password; where it is signed in, it is not any more."""
    with clear_errors():
        from defectvision.store.accounts import set_password

        given = _password(password_stdin)
        with the_store().session() as session:
            set_password(session, _here(), name, given)
    out.say(f"{name} signs in with the new password from now on.")


@accounts_app.command("end")
def end(
    name: Name,
    again: Annotated[bool, typer.Option("--open-again", help="take the end back")] = False,
) -> None:
    """End an account: it cannot sign in any more. What it did stays under its name."""
    with clear_errors():
        from defectvision.store.accounts import end_account

        with the_store().session() as session:
            end_account(session, _here(), name, ended=not again)
    out.say(f"{name} can sign in again." if again else f"{name} cannot sign in any more.")


@tokens_app.callback(invoke_without_command=True)
def tokens(context: typer.Context, as_json: Json = False) -> None:
    """List the tokens; not what they are, which is kept nowhere."""
    if context.invoked_subcommand is not None:
        return
    with clear_errors():
        from defectvision.store.tokens import all_tokens

        with the_store().reading() as session:
            rows = all_tokens(session)
    listed = [
        {
            "name": row.name,
            "scopes": ",".join(row.scopes),
            "until": row.until.isoformat(),
            "used": row.used and row.used.isoformat(),
            "ended": row.ended and row.ended.isoformat(),
        }
        for row in rows
    ]
    _print(listed, as_json, "no token yet. Make one: defectvision tokens add NAME --may look")


@tokens_app.command("add")
def add_token(
    name: Annotated[str, typer.Argument(help="name of the program")],
    may: Annotated[list[Action], typer.Option(help="what it may do; may be given several times")],
    days: Annotated[int, typer.Option(help="for how long it is good", min=1)] = 365,
) -> None:
    """Make a token and print it, this once."""
    with clear_errors():
        from defectvision.store.tokens import make_token

        with the_store().session() as session:
            token = make_token(session, _here(), name, may, days)
    print(token)


@tokens_app.command("end")
def end_token(name: Annotated[str, typer.Argument(help="name of the program")]) -> None:
    """End a token: what shows it is refused."""
    with clear_errors():
        from defectvision.store import tokens

        with the_store().session() as session:
            tokens.end_token(session, _here(), name)
    out.say(f"The token of {name} opens nothing any more.")


def _here() -> Person:
    """Who runs the command: somebody who can read the store's files may do everything."""
    try:
        return unproven(f"{getpass.getuser()} (command line)")
    except (KeyError, OSError):  # a user without a name, as in a container
        return unproven("command line")


def _password(from_input: bool) -> str:
    if from_input:
        return sys.stdin.readline().rstrip("\r\n")
    given: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return given


def _print(rows: Sequence[Mapping[str, object]], as_json: bool, empty: str) -> None:
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        out.say("  ".join(str(value) for value in row.values() if value is not None))
    if not rows:
        out.say(empty)
