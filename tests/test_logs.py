"""The log: one line a message, with what it is about, and nothing that a terminal obeys or that is
secret."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from threading import Event, Thread

import pytest

from defectvision import logs
from defectvision.batch.deadline import within
from defectvision.batch.sources import folder_source
from defectvision.batch.worker import work_until_ended
from defectvision.limits import Limits
from defectvision.logs import JsonLine, Line
from defectvision.store.database import open_store
from tests.stand_ins.lots import lot, start
from tests.stand_ins.server import serving

HOSTILE = "a\n2026-01-01 INFO defectvision: all is well\x1b[2J\u202e.png"
log = logging.getLogger("defectvision.trial")
Said = Callable[[], list[str]]


@pytest.fixture(params=["text", "json"])
def said(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Said]:
    """What was logged so far, line by line."""
    stream, root = StringIO(), logging.getLogger()
    level = root.level
    with monkeypatch.context() as beside:
        beside.setattr("sys.stderr", stream)
        logs.set_up(request.param, dated=True)
    (ours,) = (one for one in root.handlers if getattr(one, "stream", None) is stream)
    yield lambda: stream.getvalue().splitlines()
    root.removeHandler(ours)
    root.setLevel(level)


def test_a_hostile_name_stays_one_line_that_no_terminal_obeys(said) -> None:
    with logs.about(image=HOSTILE):
        log.warning("%s was not inspected", HOSTILE)
    (line,) = said()
    assert line.isprintable() and "all is well" in line


def test_a_line_carries_what_it_is_about_in_every_thread(said) -> None:
    with logs.about(request="r1"), logs.about(batch=7):
        within(5, lambda: log.info("within"))
        thread = Thread(target=logs.carrying(lambda: log.info("beside")))
        thread.start()
        thread.join()
        with logs.about(image="b.png"):
            log.info("here")
        log.info("after")
    log.info("outside")
    lines = {re.search(r"within|beside|here|after|outside", line)[0]: line for line in said()}
    for word in ("within", "beside", "here", "after"):
        assert "r1" in lines[word] and "7" in lines[word].partition("trial")[2]
    assert "b.png" in lines["here"] and "b.png" not in lines["after"]
    assert "r1" not in lines["outside"]


@pytest.mark.parametrize(
    "secret",
    [
        "postgresql+psycopg://dv:s3cret@host/name",
        "could not connect to postgresql://dv:s3cret@host:5432/name?x=1",
        "https://user:s3cret@proxy/",
        "Authorization: Bearer s3cret",
    ],
)
def test_a_password_is_not_said(said, secret) -> None:
    log.warning("%s", secret)
    try:
        raise ValueError(secret)
    except ValueError:
        log.exception("failed")
    text = "".join(said())
    assert "s3cret" not in text and "***" in text


def test_json_is_what_machines_read() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        with logs.about(batch=3, image="\u00e9.png"):
            record = log.makeRecord(
                "x", logging.ERROR, "x.py", 1, "%d left", (2,), (type(error), error, None)
            )
            line = JsonLine().format(record)
    found = json.loads(line)
    assert found.pop("time").endswith("+00:00") and line.isascii() and "\n" not in line
    assert found == {
        "level": "error", "logger": "x", "message": "2 left", "batch": 3, "image": "\u00e9.png",
        "error": "ValueError: two\nlines",
    }  # fmt: skip


def test_the_command_line_says_messages_alone() -> None:
    record = log.makeRecord("x", logging.INFO, "x.py", 1, "done", (), None)
    with logs.about(batch=3):
        assert Line().format(record) == "done"


def test_each_image_that_fails_has_a_line_with_its_batch_and_its_name(
    said, weights, tmp_path
) -> None:
    store = open_store(tmp_path / "store")
    number = start(store, weights, folder_source(lot(tmp_path / "l", {"a.png": b"none"}), None))
    work_until_ended(store, weights, Limits(), number, Event())
    (line,) = (line for line in said() if "was not inspected" in line)
    if line.startswith("{"):
        found = json.loads(line)
        assert (found["batch"], found["image"]) == (number, "a.png")
    else:
        assert line.endswith(f"(batch {number}, image a.png)")


@pytest.mark.parametrize(("given", "kept"), [("trial-1", True), ("a b\x1b", False), ("", False)])
def test_a_requests_lines_carry_its_number(said, monkeypatch, given, kept) -> None:
    from starlette.testclient import TestClient

    from defectvision.api.app import api
    from defectvision.settings import settings

    monkeypatch.setenv("DEFECTVISION_STORE", "/proc/nowhere")
    monkeypatch.setenv("DEFECTVISION_API_TOKENS", '{"mes": "s3cret-of-mes"}')
    settings.cache_clear()
    headers = {"Authorization": "Bearer s3cret-of-mes"}
    answer = TestClient(api).get("/v1/batches", headers=headers | {"X-Request-ID": given})
    number = answer.headers["X-Request-ID"]
    assert answer.status_code == 503 and (number == given) == kept and number
    (line,) = (line for line in said() if "/proc/nowhere" in line)
    assert number in line and "s3cret" not in line


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "json"])
def test_a_server_writes_every_line_in_that_form(weights: Path, tmp_path: Path, kind) -> None:
    file, folder = tmp_path / "log", lot(tmp_path / "lot", {HOSTILE: b"none"})
    with serving(weights, file, DEFECTVISION_LOG=kind):
        store = open_store(tmp_path / "store")
        start(store, weights, folder_source(folder, None))
        end = time.monotonic() + 60
        while "was not inspected" not in file.read_text():
            assert time.monotonic() < end, file.read_text()
            time.sleep(0.1)
    lines = file.read_text().split("\n")
    assert all(line.isprintable() for line in lines)
    ours = [line for line in lines if "inspected" in line or "uvicorn" in line.lower()]
    if kind == "json":
        assert {"batch", "image"} <= set(json.loads(ours[-1] if "batch" in ours[-1] else ours[0]))
        assert all(json.loads(line) for line in ours)
    else:
        assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ", one) for one in ours)
