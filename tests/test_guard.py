"""The server as others on the network meet it: by its name alone, and closed."""

from __future__ import annotations

import http.client
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from defectvision.store.database import open_store
from defectvision.web.guard import Guard
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.server import Server, serving

TOKENS = '{"mes": "secret-of-mes"}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("plant")
    write_bundle(folder / "weights", "casting", "resnet50")
    more = {"DEFECTVISION_API_TOKENS": TOKENS, "DEFECTVISION_HOSTS": '["vision.plant.example"]'}
    with serving(folder / "weights", folder / "log.txt", **more) as started:
        # Its health is good once a worker has said that it is there.
        deadline = time.monotonic() + 30
        while ask(started, "/api/v1/health", "localhost").status != 200:
            assert time.monotonic() < deadline, "the server does not come to health"
            time.sleep(0.1)
        yield started


def ask(server: Server, path: str, host: str, **headers: str) -> http.client.HTTPResponse:
    about = urlsplit(server.url)
    connection = http.client.HTTPConnection(about.hostname, about.port, timeout=20)
    connection.request("GET", path, headers={"Host": host, **headers})
    return connection.getresponse()


FOREIGN = (
    "evil.example",
    "evil.example:8501",
    "127.0.0.1.evil.example",
    "192.0.2.7",
    "localhost@evil.example",
    "x]127.0.0.1",
)
PATHS = ("/", "/api/v1/health", "/_stcore/health", "/lines")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", FOREIGN)
def test_a_page_from_elsewhere_cannot_make_its_name_mean_this_server(server, path, host) -> None:
    answer = ask(server, path, host)
    assert answer.status == 421 and b"DEFECTVISION_HOSTS" in answer.read()


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST", "[::1]", "vision.plant.example"])
def test_it_is_known_by_its_own_names_whatever_the_port(server, host) -> None:
    for path in PATHS:
        assert ask(server, path, f"{host}:8501").status == 200
        assert ask(server, path, host).status == 200


def test_a_socket_of_another_name_is_not_opened(server) -> None:
    upgrade = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": "http://evil.example",
    }  # fmt: skip
    assert ask(server, "/_stcore/stream", "evil.example", **upgrade).status == 403


@pytest.mark.parametrize("path", PATHS)
def test_other_sites_cannot_frame_it_and_it_loads_nothing_from_elsewhere(server, path) -> None:
    headers = ask(server, path, "localhost").headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'self'" in policy
    assert "img-src 'self' data: blob:;" in policy and "http:" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    ("address", "host", "known"),
    [
        ("0.0.0.0", "192.0.2.7:8501", True),
        ("0.0.0.0", "[2001:db8::1]:8501", True),
        ("0.0.0.0", "evil.example", False),
        ("::", "192.0.2.7", True),
        ("", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("127.0.0.1", "192.0.2.7", False),
        ("127.0.0.1", "", False),
    ],
)
def test_an_open_server_is_known_by_its_numbers(address: str, host: str, known: bool) -> None:
    async def nothing(*_given: object) -> None:
        raise AssertionError

    assert Guard(nothing, address).knows(host) is known


def test_nobody_but_its_owner_reads_the_store(server: Server) -> None:
    ask(server, "/api/v1/health", "localhost").read()
    store = server.weights.parent / "store"
    files = [store, *store.rglob("*")]
    assert len(files) > 2
    assert [file for file in files if stat.S_IMODE(file.stat().st_mode) & 0o077] == []


def test_a_store_that_an_earlier_version_left_open_is_closed(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        open_store(tmp_path / "store")
        database = tmp_path / "store" / "defectvision.sqlite3"
        assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700
        assert stat.S_IMODE(database.stat().st_mode) == 0o600
        database.chmod(0o644)
        (tmp_path / "store" / "files").chmod(0o755)
        open_store.cache_clear()
        open_store(tmp_path / "store")
    finally:
        os.umask(before)
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "store" / "files").stat().st_mode) == 0o700
