"""Who inspects the images of batches, as commands are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from defectvision.settings import settings

if TYPE_CHECKING:
    from defectvision.batch.crew import CrewOf

EngineName = Annotated[
    Literal["local", "ray"],
    typer.Option(
        "--engine",
        help="who inspects: this machine, or a Ray cluster, for large lots and many machines",
    ),
]
Address = Annotated[
    str,
    typer.Option(
        "--address",
        help="of the Ray cluster: host:6379 on one of its machines, ray://host:10001 elsewhere",
        show_default="a cluster of this machine by itself",
    ),
]


@contextmanager
def crews_of(engine: str, address: str) -> Iterator[CrewOf | None]:
    """What `work_on` takes for `--engine` and `--address`. Raises ValueError, RuntimeError and
    OSError, which name what is wrong."""
    if engine == "local":
        if address:
            raise ValueError("--address is that of a Ray cluster: say --engine ray, too")
        yield None
        return
    from defectvision.batch.ray_crew import ray_crews

    with ray_crews(address, settings().limits) as crew_of:
        yield crew_of
