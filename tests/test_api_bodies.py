"""Uploads that come at a time are limited in sum: more of them are told to come again."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.stand_ins.castings import GOOD, casting
from tests.stand_ins.server import Server, serving

TOKEN = "secret-of-mes"
MOST = 1 << 20  # bytes of a body


@pytest.fixture(scope="module")
def server(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    tokens = f'{{"mes": "{TOKEN}"}}'
    log = tmp_path_factory.mktemp("server") / "log.txt"
    more = {"DEFECTVISION_API_TOKENS": tokens, "DEFECTVISION_MAX_UPLOAD_MB": "1"}
    with serving(weights, log, **more) as running:
        yield running


def begun(server: Server, length: int) -> HTTPConnection:
    """A request whose body of so many bytes has not come yet, but for its beginning."""
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    connection.putrequest("POST", "/api/v1/inspect")
    for name, value in {
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "multipart/form-data; boundary=x",
        "Content-Length": str(length),
    }.items():
        connection.putheader(name, value)
    connection.endheaders(b"--x\r\n")
    return connection


def inspected(server: Server) -> tuple[int, str | None]:
    boundary = b"--x\r\nContent-Disposition: form-data; name="
    body = b"".join([
        boundary, b'"line"\r\n\r\ncasting\r\n',
        boundary, b'"file"; filename="a.png"\r\n\r\n', casting(*GOOD), b"\r\n--x--\r\n",
    ])  # fmt: skip
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    headers = {"Authorization": f"Bearer {TOKEN}",
               "Content-Type": "multipart/form-data; boundary=x"}  # fmt: skip
    connection.request("POST", "/api/v1/inspect", body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.getheader("Retry-After")


@pytest.mark.slow
def test_bodies_are_limited_in_sum_and_given_back(server: Server) -> None:
    assert inspected(server) == (200, None)
    waiting = [begun(server, MOST), begun(server, MOST)]
    assert any(inspected(server) == (503, "5") for _ in range(100))
    for connection in waiting:
        connection.close()
    assert any(inspected(server) == (200, None) for _ in range(100))


@pytest.mark.slow
def test_one_that_is_too_large_is_refused_before_its_body_came(server: Server) -> None:
    connection = begun(server, MOST + 1)
    assert connection.getresponse().status == 413
