"""Kinds of columns that hold more than the databases' own."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from pydantic import TypeAdapter
from sqlalchemy import JSON, DateTime, String, Text, TypeDecorator

from defectvision.store.sources import Source
from defectvision.words import as_text, writable

SOURCE: TypeAdapter[Source] = TypeAdapter(Source)
BYTES = "bytes:"


class Instant(TypeDecorator[datetime]):
    """A moment in UTC; SQLite would hand it back without its time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return None if value is None else value.astimezone(UTC)
        return value.replace(tzinfo=UTC)


class Name(TypeDecorator[str]):
    """A text of a limited length, as `writable` has it."""

    impl: type[String] = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else writable(value)


class Prose(Name):
    """A text of any length, as `writable` has it."""

    impl = Text
    cache_ok = True


class PathText(TypeDecorator[str]):
    """A path of this machine, whose bytes need be no text: those that are none stand as %XX behind
    BYTES, with which no path begins."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else _path_as_text(value)

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else _path_of_text(value)


class SourceColumn(TypeDecorator[Source]):
    """A batch's source, as JSON."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Source | None, dialect: Any) -> Any:
        if value is None:
            return None
        content = value.model_dump(mode="json")
        return content | ({"path": _path_as_text(content["path"])} if "path" in content else {})

    def process_result_value(self, value: Any, dialect: Any) -> Source | None:
        if value is None:
            return None
        path = {"path": _path_of_text(value["path"])} if "path" in value else {}
        return SOURCE.validate_python(value | path)


def _path_as_text(path: str) -> str:
    return path if as_text(path) == path else BYTES + quote_from_bytes(os.fsencode(path))


def _path_of_text(text: str) -> str:
    if not text.startswith(BYTES):
        return text
    return os.fsdecode(unquote_to_bytes(text.removeprefix(BYTES)))
