"""Accounts and tokens from the command line, and a server that does not start open to others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from defectvision.cli.main import app
from defectvision.people import Role
from defectvision.store import accounts, tokens
from defectvision.store.database import open_store
from tests.stand_ins.people import WORD
from tests.stand_ins.server import ROOT


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    return open_store(tmp_path / "store")


def say(*words: str, given: str = "", status: int = 0) -> str:
    done = CliRunner().invoke(app, list(words), input=given)
    assert done.exit_code == status, done.output
    return done.output


def test_an_account_is_made_listed_changed_and_ended(store) -> None:
    assert "no account yet" in say("accounts")
    say("accounts", "add", "anna", "--role", "admin", "--password-stdin", given=f"{WORD}\n")
    say("accounts", "add", "bo", given=f"{WORD}\n{WORD}\n")  # typed twice
    say("accounts", "role", "bo", "engineer")
    token = accounts.sign_in(store, "bo", WORD)
    with store.reading() as session:
        assert accounts.signed_in(session, token).title == Role.ENGINEER
    say("accounts", "password", "bo", "--password-stdin", given="another long one\n")
    assert accounts.sign_in(store, "bo", "another long one")
    say("accounts", "end", "bo")
    listed = json.loads(say("accounts", "--json"))
    assert [(row["name"], row["role"], bool(row["ended"])) for row in listed] == [
        ("anna", "admin", False),
        ("bo", "engineer", True),
    ]
    assert WORD not in json.dumps(listed)


@pytest.mark.parametrize(
    ("words", "given", "reason"),
    [
        (["accounts", "add", "bo", "--password-stdin"], "short\n", "10 to 200 characters"),
        (["accounts", "add", "bo", "--password-stdin"], "", "10 to 200 characters"),
        (["accounts", "role", "nobody", "viewer"], "", "no account nobody"),
        (["tokens", "end", "nothing"], "", "no token nothing"),
        (["tokens", "add", "mes", "--may", "look", "--days", "99999"], "", "1 to 3650 days"),
    ],
)
def test_what_cannot_be_done_is_said(store, words, given, reason) -> None:
    assert reason in say(*words, given=given, status=2)


def test_a_token_is_printed_once_and_alone(store) -> None:
    token = say("tokens", "add", "mes", "--may", "look", "--may", "inspect").strip()
    assert tokens.who_shows(store, token).name == "mes"
    assert token not in say("tokens") and "inspect,look" in say("tokens")
    say("tokens", "end", "mes")
    assert tokens.who_shows(store, token) is None


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "defectvision.cli", "serve", "--address", "0.0.0.0", "--port", "1"],
        ["-m", "streamlit", "run", "app.py", "--server.address", "0.0.0.0", "--server.port", "1"],
    ],
    ids=["serve", "streamlit"],
)
def test_a_server_for_others_does_not_start_before_it_knows_them(tmp_path, command) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "DEFECTVISION_STORE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode and "nobody signs in" in done.stderr
    assert "anyone-may-do-everything" in done.stderr
