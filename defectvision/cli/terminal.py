"""Where the commands write, and how an error that a user can mend is said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from defectvision.words import visible

if TYPE_CHECKING:
    from defectvision.inference.images import ImageError

out = Console()
err = Console(stderr=True)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn the errors that a user can mend into one line and exit status 2."""
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        text = re.sub(r"[ \t]*\n\s*", " ", str(error))  # parsers say where in several lines
        err.print(f"error: {visible(text)}", style="red", markup=False, highlight=False)
        raise typer.Exit(2) from error


def print_failure(error: ImageError, as_json: bool = False) -> None:
    """One input that could not be used: an object among the results, or a line beside them."""
    if as_json:
        print(json.dumps({"path": error.name, "error": f"{error.reason}. {error.remedy}"}))
    else:
        err.print(f"failed  {visible(str(error))}", style="red", markup=False, highlight=False)


def print_note(text: str) -> None:
    """What is worth knowing and no failure, beside the results; nothing where there is nothing."""
    if text:
        err.print(f"note: {visible(text)}", style="yellow", markup=False, highlight=False)
