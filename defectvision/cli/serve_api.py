"""`defectvision serve-api`: the REST API by replicas, without a dashboard."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from defectvision.cli.engine import Address
from defectvision.cli.terminal import clear_errors
from defectvision.settings import the_store


def serve_api(
    address: Address = "",
    host: Annotated[str, typer.Option(help="network address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on", min=1, max=65535)] = 8600,
    replicas: Annotated[
        int | None,
        typer.Option(min=1, help="processes that inspect", show_default="one a core"),
    ] = None,
) -> None:
    """Answer the REST API below /api/v1 by a Ray cluster, for many cameras: several processes
    inspect, and who comes while too many wait is told to ask again. Whoever asks shows a token
    (defectvision tokens add), on whatever address it listens. The machines share the store, and
    each has the bundles and the settings of this one."""
    with clear_errors():
        the_store()
    what = address, host, str(port), str(replicas or 0)
    os.execv(sys.executable, [sys.executable, "-m", "defectvision.api", *what])
