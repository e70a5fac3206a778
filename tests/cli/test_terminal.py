"""What comes from outside is text on the terminal: of no colour, and in no line of its own."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from rich.table import Table

from defectvision.cli.terminal import Terminal
from defectvision.logs import Line
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting

FORGED = "a\x1b[2Jb\naccept  ok               ok 99.9%  score 0.000  fake.png"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_bundle(folder, "casting", "resnet50")
    return folder


def run(*asked: object, home: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "defectvision.cli", *map(str, asked)],
        capture_output=True,
        env=os.environ | {"DEFECTVISION_STORE": str(home / "store")},
        timeout=120,
    )


def files(folder: Path) -> dict[str, Path]:
    """The same two files, good and broken, under hostile names in a folder and in a zip file."""
    lot = folder / "lot"
    lot.mkdir()
    data = {FORGED: casting("def", 105), "x\x9b31m\u202egnp.png": b"no image"}
    with zipfile.ZipFile(folder / "lot.zip", "w") as archive:
        for name, content in data.items():
            (lot / name).write_bytes(content)
            archive.writestr(name, content)
    return {"folder": lot, "zip": folder / "lot.zip"}


@pytest.mark.parametrize("source", ["folder", "zip"])
@pytest.mark.parametrize("command", ["inspect", "batch"])
def test_a_file_name_writes_no_line_of_its_own_and_moves_no_cursor(
    weights: Path, tmp_path: Path, source: str, command: str
) -> None:
    asked = [files(tmp_path)[source], "--line", "casting", "--weights", weights]
    if command != "inspect":
        asked += ["--out", tmp_path / "out.csv", "--title", FORGED]
    done = run(command, *asked, home=tmp_path)
    assert done.returncode == 1, done.stderr
    said = (done.stdout + done.stderr).decode()
    assert not {"\x1b", "\x9b", "\u202e"} & set(said)
    assert not any(line.startswith("accept") for line in said.splitlines())
    if command == "inspect":
        assert len(done.stdout.splitlines()) == 1 and rb"a\x1b[2Jb\naccept" in done.stdout


def test_titles_and_classes_are_text_in_tables() -> None:
    out = io.StringIO()
    console = Terminal()
    console.file = out
    table = Table("class", title="[red]t[/red]")
    table.add_row("[link=http://127.0.0.1:9/]x[/link] :smile: \x1b]8;;http://y\x07")
    console.print(table)
    assert "[link=http://127.0.0.1:9/]x[/link] :smile:" in out.getvalue()
    assert "[red]t[/red]" in out.getvalue() and "\x1b" not in out.getvalue()


def test_the_log_says_a_message_in_one_line() -> None:
    form = Line()
    try:
        raise ValueError(FORGED)
    except ValueError:
        record = logging.LogRecord(
            "x", logging.ERROR, "x.py", 1, "left out %s", (FORGED,), sys.exc_info()
        )
    message, *traceback = form.format(record).splitlines()
    assert message.startswith("left out a\\x1b[2Jb\\naccept")
    assert not any("\x1b" in line for line in traceback)


def test_names_that_no_encoding_knows_are_said_all_the_same(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "lot").mkdir()
    (tmp_path / "lot" / "\udcff.png").write_bytes(casting("def", 105))
    asked = (tmp_path / "lot", "--line", "casting", "--weights", weights)
    for more in ((), ("--json",)):
        done = run("inspect", *asked, *more, home=tmp_path)
        assert done.returncode == 0 and rb"\udcff.png" in done.stdout, done.stderr
