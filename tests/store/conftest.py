"""The tests of the store on servers: with `DEFECTVISION_TESTS_ON=servers`, each store that would
lie in a folder has its rows in PostgreSQL and its files in S3. What fails then looks into the
folder, or is about SQLite.

    DEFECTVISION_TESTS_ON=servers python -m pytest -n0 tests/store
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from defectvision.store import database, files
from defectvision.store.database import open_store
from defectvision.store.elsewhere import Place

ON_SERVERS = os.environ.get("DEFECTVISION_TESTS_ON") == "servers"


@pytest.fixture(autouse=True, scope="session")
def on_servers(request: pytest.FixtureRequest) -> Iterator[None]:
    if not ON_SERVERS:
        yield
        return
    new_database, bucket = (request.getfixturevalue(name) for name in ("postgres", "s3"))
    connect, root, databases = database._connect, bucket(), dict[str, str]()

    def connected(address: str):
        if address.startswith("sqlite"):
            if address not in databases:
                databases[address] = new_database()
            address = databases[address]
        return connect(address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_connect", connected)
        patch.setattr(files, "Place", lambda url: Place(url if "://" in url else f"{root}{url}"))
        open_store.cache_clear()
        yield
