"""What all tables are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Integer
from sqlalchemy.orm import DeclarativeBase

from defectvision.store.columns import Instant

# SQLite numbers rows itself only where the key is an INTEGER.
Key = BigInteger().with_variant(Integer, "sqlite")


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map: ClassVar = {
        datetime: Instant(),
        dict[str, Any]: JSON(),
        list[Any]: JSON(),
        dict[str, float]: JSON(),
        dict[str, int]: JSON(),
    }
