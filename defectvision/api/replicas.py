"""The REST API on Ray Serve: one door, and replicas that inspect, each with its models on a core.

The door is the same application as beside the dashboard. An image goes from it to the replica that
has the least to do, which takes what waits there together. Where as many wait as may, the answer is
503 with the moment to ask again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from starlette.types import ASGIApp

from defectvision.api.access import refused
from defectvision.api.asking import Answered, Asked, asking
from defectvision.batch.ray_cluster import connected, pin
from defectvision.inference.inspector import load_inspector
from defectvision.settings import settings
from defectvision.web.guard import Guard

APP, INSPECTIONS = "defectvision", "inspections"
TOGETHER = 8  # images that a replica takes at once
TOGETHER_SECONDS = 0.005  # that the first of them waits for others
WAITING = 64  # images that may wait for a free replica
ANSWER_SECONDS = 60.0
RETRY_SECONDS = 1


@contextmanager
def serving(address: str, host: str, port: int, replicas: int | None = None) -> Iterator[None]:
    """Answer below http://host:port/api/v1 within the block, by the Ray cluster at `address` or one
    of this machine alone; replicas: as many as the cluster has cores where it is None. Raises
    RuntimeError where Ray Serve is not installed, ConnectionError where the cluster is not there.
    """
    try:
        from ray import serve
    except ImportError as error:
        raise RuntimeError(
            "Ray Serve is not installed. Install it on each machine of the cluster: "
            ".venv/bin/pip install -r requirements-replicas.txt"
        ) from error
    with connected(address) as ray:
        count = replicas or max(1, int(ray.cluster_resources().get("CPU", 1)))
        serve.start(http_options={"host": host, "port": port})
        inspections: Any = serve.deployment(
            _inspections(),
            name=INSPECTIONS,
            num_replicas=count,
            max_ongoing_requests=2 * TOGETHER,
            max_queued_requests=WAITING,
            ray_actor_options={"num_cpus": 1},
        )
        door: Any = serve.deployment(
            # A function of its own, which Ray Serve calls where the door is.
            serve.ingress(lambda: guarded_api(serve.get_deployment_handle(INSPECTIONS, APP), host))(
                _Door
            ),
            max_ongoing_requests=2 * (WAITING + 2 * TOGETHER * count),
            ray_actor_options={"num_cpus": 0},
        )
        try:
            serve.run(door.bind(inspections.bind()), name=APP, route_prefix="/api")
            yield
        finally:
            serve.shutdown()  # type: ignore[no-untyped-call,unused-ignore]


class _Door:
    """Answers requests; those who inspect are started with it."""

    def __init__(self, _inspections: object) -> None:
        pass


def guarded_api(handle: Any, host: str) -> ASGIApp:
    """The application, whose images go to the replicas behind `handle`, for who names this server
    as it is known. host: what it listens on."""
    from defectvision.api.app import api

    api.dependency_overrides[asking] = lambda: partial(_ask, handle)
    return Guard(api, host, settings().hosts)


def _ask(handle: Any, asked: Asked) -> Answered:
    from ray.serve.exceptions import BackPressureError

    try:
        found: Answered | Exception = handle.ask.remote(asked).result(timeout_s=ANSWER_SECONDS)
    except (BackPressureError, TimeoutError) as error:
        said = "as many images wait as may; ask again"
        raise refused(503, said, **{"Retry-After": str(RETRY_SECONDS)}) from error
    if isinstance(found, Exception):
        raise found
    return found


def _inspections() -> type:
    """A replica's class, which Ray Serve must be there for."""
    from ray import serve

    class Inspections:
        """Inspects with any bundle of its machine's weights folder."""

        def __init__(self) -> None:
            rank = serve.get_replica_context().rank
            pin(rank.local_rank if rank is not None else 0)

        @serve.batch(max_batch_size=TOGETHER, batch_wait_timeout_s=TOGETHER_SECONDS)
        async def ask(self, asked: list[Asked]) -> list[Answered | Exception]:
            return await asyncio.to_thread(answers, asked)

    return Inspections


def answers(asked: list[Asked]) -> list[Answered | Exception]:
    """Of each question, in order: those to the same bundle together."""
    about, found = settings(), dict[int, Answered | Exception]()
    for line, bundle in dict.fromkeys((one.line, one.bundle) for one in asked):
        of_it = [i for i, one in enumerate(asked) if (one.line, one.bundle) == (line, bundle)]
        try:
            inspector = load_inspector(about.weights, line, bundle, about.limits)
            files = [(asked[i].name, asked[i].data) for i in of_it]
            for i, said in zip(of_it, inspector.inspect_many(files), strict=True):
                if isinstance(said, Exception):
                    found[i] = said
                else:
                    found[i] = Answered(said, inspector.loaded.bundle)
        except Exception as error:
            found |= dict.fromkeys([i for i in of_it if i not in found], error)
    return [found[i] for i in range(len(asked))]
