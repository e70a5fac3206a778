"""The tests of the store on servers: with `DEFECTVISION_TESTS_ON=servers`, each store that would
have its rows and files in its own folder has them in PostgreSQL and S3.

    DEFECTVISION_TESTS_ON=servers python -m pytest -n0 tests/store
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from defectvision.store import database
from defectvision.store.database import open_store
from defectvision.store.files import Files
from defectvision.store.folder import DATABASE, FILES

ON_SERVERS = os.environ.get("DEFECTVISION_TESTS_ON") == "servers"


@pytest.fixture(autouse=True, scope="session")
def on_servers(request: pytest.FixtureRequest) -> Iterator[None]:
    if not ON_SERVERS:
        yield
        return
    new_database, bucket = (request.getfixturevalue(name) for name in ("postgres", "s3"))
    connect, root, databases = database._connect, bucket(), dict[str, str]()

    def connected(address: str):
        if address.startswith("sqlite") and Path(address).name == DATABASE:
            if address not in databases:
                databases[address] = new_database()
            address = databases[address]
        return connect(address)

    def kept(url: str) -> Files:
        in_folder = "://" not in url and Path(url).name == FILES
        return Files(f"{root}{url}" if in_folder else url)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_connect", connected)
        patch.setattr(database, "Files", kept)
        open_store.cache_clear()
        yield


@pytest.fixture
def in_a_folder() -> None:
    """For a test of what nothing but a file of SQLite can suffer."""
    if ON_SERVERS:
        pytest.skip("about the file of SQLite, which no server has")
