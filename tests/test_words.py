"""Numbers and foreign text read as people write them."""

import re
from datetime import datetime, timedelta, timezone

import pytest

from defectvision.settings import ROOT
from defectvision.words import capital, counted, duration, in_utc, percentage, plain, why_ended


@pytest.mark.parametrize(
    ("count", "words", "expected"),
    [
        (0, ("file",), "0 files"),
        (1, ("file",), "1 file"),
        (2, ("file",), "2 files"),
        (2412, ("file",), "2,412 files"),
        (1, ("saved policy", "saved policies"), "1 saved policy"),
        (3, ("saved policy", "saved policies"), "3 saved policies"),
        (1, ("file was not inspected", "files were not inspected"), "1 file was not inspected"),
    ],
)
def test_one_is_said_apart_from_several(count, words, expected) -> None:
    assert counted(count, *words) == expected


@pytest.mark.parametrize(("text", "expected"), [("no X here", "No X here"), ("", "")])
def test_a_sentence_begins_with_a_capital(text, expected) -> None:
    assert capital(text) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "1 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (9000, "2.5 h")],
)
def test_a_time_to_wait_is_told_in_a_unit_that_fits(seconds, expected) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [(-9, "memory runs out"), (-11, "SIGSEGV. See the log"), (3, "exit status 3. See the log")],
)
def test_why_a_process_ended_is_told_with_what_to_do(status, expected) -> None:
    assert expected in why_ended(status, "See the log")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lot 7", "lot 7"),
        ("**b** [a](x)", r"\*\*b\*\* \[a\]\(x\)"),
        (":red[x] $x$", r"\:red\[x\] \$x\$"),
        ("two\nlines  here", "two lines here"),
        ("at http://x", "at http\\:\u2060\\/\\/x"),
        ("www.x", "www\u2060\\.x"),
        ("a@b", "a\u2060\\@b"),
        ("a -> b --c", "a \\-\\>\u2060 b \\-\\-c"),
        ("gnp.\u202etrap \ud800\x1b", "gnp\\.\ufffdtrap \ufffd\ufffd"),
    ],
)
def test_foreign_text_shows_as_it_is_where_markdown_is_read(text, expected) -> None:
    assert plain(text) == expected


@pytest.mark.parametrize(
    ("share", "decimals", "expected"),
    [
        (0.9876, 1, "98.8%"),
        (2999 / 3000, 1, "99.97%"),
        (1 / 3000, 1, "0.03%"),
        (1.0, 1, "100.0%"),
        (0.0, 0, "0%"),
        (0.996, 0, "99.6%"),
        (99_999 / 100_000, 0, "99.999%"),
    ],
)
def test_what_is_not_all_is_never_said_to_be_all(share, decimals, expected) -> None:
    assert percentage(share, decimals) == expected


def test_a_moment_says_its_time_zone() -> None:
    at = datetime(2026, 11, 28, 0, 10, tzinfo=timezone(timedelta(hours=1)))
    assert in_utc(at) == "2026-11-27 23:10 UTC"


def test_no_moment_is_written_without_its_time_zone() -> None:
    """On a page, in a report or in a message; a day alone is no moment."""
    bare = re.compile(r"%H:%M(?!:%S\} UTC|:%S\} \{zone| %Z|\} UTC|:%S\")")
    found = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in sorted((ROOT / "defectvision").rglob("*.py"))
        for line in file.read_text(encoding="utf-8").splitlines()
        if bare.search(line)
    ]
    assert not found
