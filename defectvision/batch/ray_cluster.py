"""A Ray cluster, to which this process is connected for a while."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

OBJECT_BYTES = 500_000_000  # of shared memory on this machine: bundles go through it, not images


@contextmanager
def connected(address: str) -> Iterator[ModuleType]:
    """Ray, connected to the cluster at `address`; to one of this machine alone, which ends with the
    block, where it is empty. Raises RuntimeError where Ray is not installed, ConnectionError where
    the cluster is not there or does not start."""
    try:
        import ray
    except ImportError as error:
        raise RuntimeError(
            "Ray is not installed. Install it on each machine of the cluster: "
            ".venv/bin/pip install -r requirements-ray.txt"
        ) from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the plant
    how: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if not address:
        how |= {"object_store_memory": OBJECT_BYTES, "include_dashboard": False}
    try:
        ray.init(address=address or "local", **how)
    except Exception as error:  # it raises bare ones, too
        said = str(error).strip().partition("\n")[0].rstrip(".")
        if not address:
            raise ConnectionError(
                f"Ray did not start on this machine ({said}). It gives up after some seconds: try "
                "again when there is less to do here, or give --address of a cluster that runs"
            ) from error
        raise ConnectionError(
            f"{address}: no cluster answers there ({said}). Start one with `ray start --head`, and "
            "each other machine with `ray start --address=HOST:6379`"
        ) from error
    # Of each machine that is lost Ray would tell on stdout, where a command's answer goes, as its
    # debugger knows how to prevent.
    ray._private.worker._worker_logs_enabled = False
    try:
        yield ray
    finally:
        ray.shutdown()


def pin(core: int) -> None:
    """Keep this process to one core, the one of that number, so that it has as many threads as Ray
    counts for it."""
    import cv2

    mine = sorted(os.sched_getaffinity(0))
    for thread in Path("/proc/self/task").iterdir():  # those that Ray started before
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), {mine[core % len(mine)]})
    cv2.setNumThreads(1)
