"""What the commands share: where they write, and how an error that a user can mend ends them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

out = Console()
err = Console(stderr=True)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn the errors that a user can mend into one line and exit status 2."""
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        err.print(f"error: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(2) from error
