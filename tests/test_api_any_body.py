"""Whatever a program sends, it gets an answer in words: never a bare error, never no answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from defectvision.api.app import api
from defectvision.settings import settings
from tests.stand_ins.castings import GOOD, casting

TOKEN = {"Authorization": "Bearer secret-of-mes"}
POSTS = ("/inspect", "/uploads", "/batches", "/batches/1/state", "/inspections/1/reviews")
GETS = ("/batches", "/batches/{}", "/batches/{}/results", "/batches/{}/failed", "/inspections/{}",
        "/inspections/{}/picture", "/inspections/{}/reviews", "/lines", "/nothing")  # fmt: skip
KINDS = ("application/json", "multipart/form-data; boundary=x", "multipart/form-data",
         "application/x-www-form-urlencoded", "text/plain", "", "multipart/form-data; boundary=",
         "application/json; charset=utf-16", "\x01")  # fmt: skip
LEAF = (
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=8)
)
JUNK = st.recursive(
    LEAF,
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=6), x, max_size=3),
    max_leaves=5,
)
FIELDS = st.dictionaries(
    st.sampled_from(["line", "bundle", "path", "watch", "title", "keep", "state", "verdict",
                     "label", "note", "reviewer", "version"]),
    JUNK | st.sampled_from(["casting", "done", "paused", "accept", "/", "..", "all", "0"]),
)  # fmt: skip
PARTS = st.lists(
    st.sampled_from([
        b"--x\r\n", b"--x--\r\n", b"--x", b'Content-Disposition: form-data; name="file"',
        b'Content-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n',
        b'Content-Disposition: form-data; name="line"\r\n\r\ncasting\r\n', b"\r\n", b"\r\n\r\n",
        b"Content-Type: image/png\r\n", b"Content-Length: 99\r\n", casting(*GOOD)[:300], b"\0" * 40,
    ])
    | st.binary(max_size=20),
    max_size=12,
).map(b"".join)  # fmt: skip
DEEP = st.sampled_from([b"[" * 50_000, b'{"line":' * 50_000, b"1" * 20_000, b'"\\ud800"'])


@pytest.fixture(scope="module")
def client(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    patched = pytest.MonkeyPatch()
    patched.setenv("DEFECTVISION_STORE", str(tmp_path_factory.mktemp("store")))
    patched.setenv("DEFECTVISION_WEIGHTS", str(weights))
    patched.setenv("DEFECTVISION_API_TOKENS", json.dumps({"mes": "secret-of-mes"}))
    patched.setenv("DEFECTVISION_API_PER_MINUTE", "1000000")
    settings.cache_clear()
    app = Starlette(routes=[Mount("/api", app=api)])
    yield TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
    patched.undo()
    settings.cache_clear()


def in_words(answer: Any) -> None:
    said = f"{answer.request.url}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code != 500, said
    if answer.status_code >= 400:
        assert answer.json()["detail"], said
    if answer.status_code == 503:
        assert "its log says more" not in answer.text, said


@given(data=st.data())
def test_any_body(client: TestClient, data: st.DataObject) -> None:
    path, kind = data.draw(st.sampled_from(POSTS)), data.draw(st.sampled_from(KINDS))
    body = data.draw(
        FIELDS.map(lambda x: json.dumps(x).encode()) | JUNK.map(lambda x: json.dumps(x).encode())
        | PARTS | st.binary(max_size=60) | DEEP
    )  # fmt: skip
    headers = TOKEN | {"Content-Type": kind}
    in_words(client.post(f"/api/v1{path}", content=body, headers=headers))


@given(data=st.data())
def test_any_question(client: TestClient, data: st.DataObject) -> None:
    # The server that the API is mounted in answers to an address with a line break.
    text = st.text(max_size=5).filter(lambda t: "\n" not in t)
    number = text | st.integers(-5, 3) | st.sampled_from([2**31, 2**63, 10**40])
    path = data.draw(st.sampled_from(GETS)).format(quote(str(data.draw(number)), safe=""))
    names = ["line", "before", "most", "first", "verdict", "class", "low", "high", "text", "order",
             "descending", "reviewed", "nothing"]  # fmt: skip
    value = (
        st.text(max_size=6) | st.integers().map(str) | st.sampled_from(["nan", "inf", "-0", "1e9"])
    )
    asked = data.draw(st.dictionaries(st.sampled_from(names), value, max_size=3))
    in_words(client.get(f"/api/v1{path}", params=asked, headers=TOKEN))
