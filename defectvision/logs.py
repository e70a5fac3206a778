"""The log: one line a message, as text or as JSON, with what it is about.

Who works on a request, a batch or an image says so once, with `about`; every line that is logged
meanwhile carries it, whoever writes it. A line stays one line and moves no cursor, whatever the
names in it, and shows no password.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from defectvision.words import visible

Kind = Literal["text", "json"]
T = TypeVar("T")
CHATTY = ("accelerate", "alembic", "httpx", "onnx_ir", "onnxscript", "torch")
_ABOUT: ContextVar[Mapping[str, str | int]] = ContextVar("about", default=MappingProxyType({}))
# In an address, behind the user's name; and what opens the REST API.
_SECRET = re.compile(r"(?<=://)([^\s:/@]*):[^\s/]*@|(?<=Bearer )\S+")


@contextmanager
def about(**what: str | int) -> Iterator[None]:
    """Have the lines that are logged meanwhile carry `request`, `batch` or `image`."""
    token = _ABOUT.set({**_ABOUT.get(), **what})
    try:
        yield
    finally:
        _ABOUT.reset(token)


def carrying(work: Callable[[], T]) -> Callable[[], T]:
    """`work` for another thread, whose lines carry what those of this one do."""
    return partial(copy_context().run, work)


class Line(logging.Formatter):
    """A message as one line of visible characters; a traceback line by line. dated: with time,
    level, and what it is about, for those who are not at the terminal."""

    def __init__(self, dated: bool = False) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s" if dated else None)
        self.dated = dated

    def format(self, record: logging.LogRecord) -> str:
        record.exc_text = None  # as others have put it
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # as logging calls it
        carried = ", ".join(f"{name} {value}" for name, value in _ABOUT.get().items())
        after = f"  ({carried})" if self.dated and carried else ""
        return visible(_without_secrets(super().formatMessage(record) + after))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        text = _without_secrets(super().formatException(ei))
        return "\n".join(map(visible, text.split("\n")))


class JsonLine(logging.Formatter):
    """A message as one JSON object in ASCII: time (UTC), level, logger, message, what it is about,
    and a traceback as `error`."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _without_secrets(record.getMessage()),
            **_ABOUT.get(),
        }
        if record.exc_info:
            said["error"] = _without_secrets(self.formatException(record.exc_info))
        return json.dumps(said)


def set_up(kind: Kind = "text", dated: bool = False) -> None:
    """Write the log to the error stream, from `info` on. dated: of text, see `Line`."""
    form = JsonLine() if kind == "json" else Line(dated)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(form)
    root = logging.getLogger()
    for before in [one for one in root.handlers if isinstance(one.formatter, Line | JsonLine)]:
        root.removeHandler(before)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Libraries that write for themselves: the server's framework and what serves it.
    for name in list(root.manager.loggerDict):
        for own in logging.getLogger(name).handlers:
            own.setFormatter(form)


def _without_secrets(text: str) -> str:
    return _SECRET.sub(lambda found: f"{found[1]}:***@" if found[1] is not None else "***", text)
