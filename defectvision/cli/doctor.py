"""`defectvision doctor`: what is wrong with an installation, and how to mend it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

import typer

from defectvision.cli.options import Json
from defectvision.cli.terminal import out
from defectvision.finding import Condition, Finding

STYLES = {Condition.OK: "green", Condition.ATTENTION: "yellow", Condition.BROKEN: "red"}


def doctor(as_json: Json = False) -> None:
    """Say what is wrong with this installation and how to mend it: run it as the user who runs the
    server, with the same settings. Exit status 1 where anything is."""
    found = []
    for one in _all():
        found.append(one)
        if not as_json:
            out.say(f"{one.state:<9}  {one.part}: {one.words}", style=STYLES[one.state])
            if one.state != Condition.OK:
                out.say(f"{'':<9}  to do: {one.remedy}")
    if as_json:
        print(json.dumps([dataclasses.asdict(one) for one in found]))
    raise typer.Exit(0 if all(one.state == Condition.OK for one in found) else 1)


def _all() -> Iterator[Finding]:
    from defectvision.cli.installation import program

    found = [*program()]
    yield from found
    if any(one.state == Condition.BROKEN for one in found):
        return  # what lacks may be needed to look at the rest
    from defectvision.cli.examination import examine

    yield from examine()
