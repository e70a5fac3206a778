"""The tables of labelled sets. What somebody said of an image is only ever added to."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from defectvision.store.base import Base, Key, now
from defectvision.store.columns import Name, Prose


class LabelledSetRow(Base):
    """Images that people label to teach a line; see store/labelling.py.

    line: what it teaches. classes: as in line.json.
    """

    __tablename__ = "labelled_sets"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    title: Mapped[str] = mapped_column(Name(200))
    line: Mapped[str] = mapped_column(Name(64))
    label_mode: Mapped[str] = mapped_column(Name(16))
    classes: Mapped[list[Any]]
    who: Mapped[str] = mapped_column(Name(200))
    made: Mapped[datetime] = mapped_column(default=now)
    ended: Mapped[datetime | None]


class LabelledImageRow(Base):
    """An image of a labelled set, once each: its bytes lie in the store under `digest`.

    part: which part it shows, where that is known; pictures of one part stay together. held:
    kept for measuring and never learned from. removed: since when it is none of the set any more.
    label, masks, labelled: the labels that count, with their moment, None where nobody labelled it.
    """

    __tablename__ = "labelled_images"
    __table_args__ = (UniqueConstraint("set_id", "digest"),)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    set_id: Mapped[int] = mapped_column(ForeignKey("labelled_sets.id", ondelete="CASCADE"))
    digest: Mapped[str] = mapped_column(Name(64), index=True)
    name: Mapped[str] = mapped_column(Name(1000))
    height: Mapped[int]
    width: Mapped[int]
    part: Mapped[str] = mapped_column(Name(200), default="")
    held: Mapped[bool] = mapped_column(default=False)
    who: Mapped[str] = mapped_column(Name(200))
    added: Mapped[datetime] = mapped_column(default=now)
    removed: Mapped[datetime | None]
    label: Mapped[str] = mapped_column(Prose, default="")
    masks: Mapped[str | None] = mapped_column(Name(64))
    labelled: Mapped[datetime | None]


class LabelRow(Base):
    """What a person said of an image of a labelled set; rows are only ever added.

    label: its classes, `|` between several, empty where it shows none. masks: the file of what was
    drawn, None where nothing was. note: where it comes from, if not from the person's eyes.
    """

    __tablename__ = "labels"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    image_id: Mapped[int] = mapped_column(
        ForeignKey("labelled_images.id", ondelete="CASCADE"), index=True
    )
    who: Mapped[str] = mapped_column(Name(200))
    at: Mapped[datetime] = mapped_column(default=now)
    label: Mapped[str] = mapped_column(Prose, default="")
    masks: Mapped[str | None] = mapped_column(Name(64), index=True)
    note: Mapped[str] = mapped_column(Prose, default="")
