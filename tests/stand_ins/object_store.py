"""An S3 server of its own: moto's, in this process."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from itertools import count
from unittest.mock import patch

import pytest


@pytest.fixture(scope="session")
def s3() -> Iterator[Callable[[], str]]:
    """Gives the URL of a new, empty bucket each time it is called."""
    server = pytest.importorskip("moto.server", reason="moto is not installed")
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    # What it is asked is told to nobody, who may ask while no test listens.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    said = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "plant",
        "AWS_SECRET_ACCESS_KEY": "plant-plant",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    numbers = count()

    def new_bucket() -> str:
        name = f"bucket-{next(numbers)}"
        s3fs.S3FileSystem().mkdir(name)
        return f"s3://{name}"

    with patch.dict(os.environ, said):
        yield new_bucket
    s3fs.S3FileSystem.clear_instance_cache()
    running.stop()
