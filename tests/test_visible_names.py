"""A name that came with a file is shown on the terminal, never obeyed by it."""

from __future__ import annotations

import pytest

from defectvision.words import visible


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("part 1.png", "part 1.png"),
        ("Bauteil-Größe 検査\u3000部品.png", "Bauteil-Größe 検査\u3000部品.png"),
        ("at 4.42\u202fPM.png", "at 4.42\u202fPM.png"),
        ("a\x1b[2Jb.png", "a\\x1b[2Jb.png"),
        ("two\nlines.png", "two\\nlines.png"),
        ("two\u2028lines\u2029.png", "two\\u2028lines\\u2029.png"),
        ("gnp.\u202etrap.png", "gnp.\\u202etrap.png"),
        ("\ud800.png", "\\ud800.png"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(name: str, shown: str) -> None:
    assert visible(name) == shown
