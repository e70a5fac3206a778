"""Where the commands write, and how an error that a user can mend is said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from defectvision.words import visible

if TYPE_CHECKING:
    from defectvision.evaluation.kept import Failed
    from defectvision.inference.images import ImageError


class Terminal(Console):
    """A console on which every text is text: no markup, no names of emoji, nothing that a terminal
    obeys; and a line that is piped stays one, however long."""

    def __init__(self, stderr: bool = False):
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **more: Any) -> Text:
        return super().render_str(visible(text), **more)

    def say(self, text: str, style: str | None = None) -> None:
        """One line, which only the terminal itself breaks."""
        self.print(text, style=style, soft_wrap=True)


out = Terminal()
err = Terminal(stderr=True)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn the errors that a user can mend into one line and exit status 2."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ValidationError):
            error = ValueError(_in_words(error))
        if not isinstance(error, ValueError | RuntimeError | OSError):
            from sqlalchemy.exc import SQLAlchemyError

            from defectvision.store.database import in_words

            if not isinstance(error, SQLAlchemyError):
                raise
            error = RuntimeError(in_words(error))
        text = re.sub(r"[ \t]*\n\s*", " ", str(error))  # parsers say where in several lines
        err.say(f"error: {text}", style="red")
        raise typer.Exit(2) from error


def _in_words(error: ValidationError) -> str:
    """What is wrong with something given, without what is for programmers."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    said = first["msg"].removeprefix("Value error, ")
    return f"{place}: {said[0].lower()}{said[1:]}" if place else said


def print_failure(error: ImageError, as_json: bool = False) -> None:
    """One input that could not be used: an object among the results, or a line beside them."""
    if as_json:
        print(json.dumps({"path": error.name, "error": f"{error.reason}. {error.remedy}"}))
    else:
        err.say(f"failed  {error}", style="red")


def end(failures: Iterable[ImageError | Failed], missed: bool = False) -> NoReturn:
    """Name the images that were left out once more, below all that was said since, each once; the
    exit status is 1 where there are some, and where an aim is missed."""
    lines = dict.fromkeys(f"failed  {one.name}: {one.reason}. {one.remedy}" for one in failures)
    for line in lines:
        err.say(line, style="red")
    raise typer.Exit(1 if lines or missed else 0)


def print_note(text: str) -> None:
    """What is worth knowing and no failure, beside the results; nothing where there is nothing."""
    if text:
        err.say(f"note: {text}", style="yellow")
