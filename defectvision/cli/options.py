"""Options that several commands take."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Annotated

import typer


def finite(value: float | None) -> float | None:
    """A number that can be reckoned with; raises BadParameter for an endless one."""
    if value is not None and not isfinite(value):
        raise typer.BadParameter(f"{value} is no number to reckon with. Give one such as 0.5")
    return value


LineName = Annotated[str, typer.Option("--line", help="the line, for example casting")]
BundleName = Annotated[
    str | None, typer.Option("--bundle", help="the bundle; the line's default where not given")
]
Weights = Annotated[
    Path | None, typer.Option("--weights", help="folder of lines", show_default="weights")
]
Json = Annotated[bool, typer.Option("--json", help="print JSON, for machines")]
Flips = Annotated[
    bool, typer.Option("--flips", help="the mean of four mirror images; four times the time")
]
Bits = Annotated[
    int | None,
    typer.Option(
        "--bits",
        min=9,
        max=16,
        help="bits of a sample in 16-bit files that do not say their range",
    ),
]
Good = Annotated[
    list[str] | None,
    typer.Option("--good", help="a class that means a good part; may be given several times"),
]
Foreign = Annotated[
    list[Path] | None,
    typer.Option(
        "--foreign",
        help="images of anything else, which the gate learns to stop; may be given several times",
    ),
]
PolicyChoice = Annotated[
    str,
    typer.Option(
        "--policy",
        help="'bundle' for the bundle's own policy, or a JSON file with one; the policy in force "
        "where not given",
        show_default="in force",
    ),
]
