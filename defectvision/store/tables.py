"""The tables. An inspection keeps raw scores; its verdict is computed from them and a policy."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from defectvision.store.account_tables import AccountRow as AccountRow
from defectvision.store.account_tables import SignInRow as SignInRow
from defectvision.store.account_tables import TokenRow as TokenRow
from defectvision.store.base import Base as Base
from defectvision.store.base import Key
from defectvision.store.base import now as now
from defectvision.store.columns import Name, PathText, Prose, SourceColumn
from defectvision.store.label_tables import LabelledImageRow as LabelledImageRow
from defectvision.store.label_tables import LabelledSetRow as LabelledSetRow
from defectvision.store.label_tables import LabelRow as LabelRow
from defectvision.store.sources import Source

BINS = 50  # of the histogram of defect scores
FIRST = tuple(f"p{i}" for i in range(8))


class ImageState(StrEnum):
    """What became of an image of a batch."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


class LineRow(Base):
    """A line that images were inspected with; what it was then stands with each batch."""

    __tablename__ = "lines"

    name: Mapped[str] = mapped_column(Name(64), primary_key=True)


class PolicyRow(Base):
    """One version of the policy of a line's bundle; the highest number is in force, see
    store/policies.py. own: the bundle's own policy when it was saved, by which a bundle that was
    made anew is known; None in versions that were saved before it was kept."""

    __tablename__ = "policies"
    __table_args__ = (UniqueConstraint("line", "bundle", "number"),)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    line: Mapped[str] = mapped_column(Name(64))
    bundle: Mapped[str] = mapped_column(Name(64))
    number: Mapped[int]
    content: Mapped[dict[str, Any]]
    own: Mapped[dict[str, Any] | None]
    made: Mapped[datetime] = mapped_column(default=now)
    who: Mapped[str] = mapped_column(Name(200))
    why: Mapped[str] = mapped_column(Prose, default="")


class BatchRow(Base):
    """Inspections started together.

    line_content: the line.json that it began with, by which its results are read whatever the line
    is today. mask_classes, bundle_policy: the bundle's. source: see store/sources.py. state: see
    `batches.State`. listed: whether all of its images have a row. keep: see store/retention.py.
    seconds: time spent inspecting, in all sittings. holder, held_since, beats: who works on it, see
    store/claims.py. worked: when something of it was last done, by the database's clock.
    passed_over: files of the source that are no images, by kind, see inference/passed_over.py.
    engine: see `batches.Engine`.
    """

    __tablename__ = "batches"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    title: Mapped[str] = mapped_column(Name(200))
    line: Mapped[str] = mapped_column(ForeignKey("lines.name"))
    line_content: Mapped[dict[str, Any]]
    bundle: Mapped[str] = mapped_column(Name(64))
    bundle_version: Mapped[str] = mapped_column(Name(64))
    mask_classes: Mapped[list[Any]]
    bundle_policy: Mapped[dict[str, Any]]
    source: Mapped[Source] = mapped_column(SourceColumn)
    state: Mapped[str] = mapped_column(Name(16), index=True)
    listed: Mapped[bool] = mapped_column(default=False)
    keep: Mapped[str] = mapped_column(Name(16), default="all")
    who: Mapped[str] = mapped_column(Name(200), default="")
    made: Mapped[datetime] = mapped_column(default=now)
    ended: Mapped[datetime | None]
    seconds: Mapped[float] = mapped_column(default=0.0)
    message: Mapped[str] = mapped_column(Prose, default="")
    holder: Mapped[str | None] = mapped_column(Name(200))
    held_since: Mapped[datetime | None]
    beats: Mapped[int] = mapped_column(default=0)
    worked: Mapped[datetime | None]
    passed_over: Mapped[dict[str, int]] = mapped_column(default=dict)
    engine: Mapped[str] = mapped_column(Name(16), default="local")


class InspectionRow(Base):
    """One image of a batch: waiting, done with its raw scores, or failed with the reason.

    name: unique within the batch. path: where the image is read from, empty where it is in the
    store as `digest`, the SHA-256 of the file. top, top_ok, top_defect: the most probable class
    of all, of the good ones and of the defects, so that the database can name what a policy
    names. objections: what speaks against any verdict, see inference/gate.py; judged: whether there
    are none. p0 to p7: probabilities of a multilabel line's first classes, see `rows.first_of`.
    score_bin: of the histogram, see `rows.bin_of`. regions: as measured under `cut`. record: the
    raw answer's file, see inference/record.py; thumbnail: that of a small JPEG. same_as: the
    inspection whose answer this one repeats, as the file is the same. decision, decided_label,
    decided_by, decided_at, decided_note: what its reviews come to, see store/decisions.py, kept
    with the row so that the database counts by it; empty where nobody has decided. aged: the
    store's age when it was inspected, in s, see store/age.py. stamp: what the file system said of
    the file when it was read, see batch/watch.py; empty where nobody asked. tries: how often
    inspecting it was begun.
    """

    __tablename__ = "inspections"
    __table_args__ = (
        UniqueConstraint("batch_id", "name"),
        # All that verdicts and labels of one label are made of: counting them reads nothing else.
        Index(
            "ix_inspections_verdict",
            *("batch_id", "state", "defect_score", "judged"),
            *("score_bin", "top", "top_ok", "top_defect", *FIRST, "decision", "decided_label"),
        ),
        Index("ix_inspections_content", "digest", "bundle_version"),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Name(1000))
    path: Mapped[str] = mapped_column(PathText, default="")
    state: Mapped[str] = mapped_column(Name(16), default=ImageState.WAITING)
    digest: Mapped[str | None] = mapped_column(Name(64))
    stored: Mapped[bool] = mapped_column(default=False)
    same_as: Mapped[int | None] = mapped_column(ForeignKey("inspections.id", ondelete="SET NULL"))
    synthetic: Mapped[bool] = mapped_column(default=False)
    reason: Mapped[str] = mapped_column(Prose, default="")
    remedy: Mapped[str] = mapped_column(Prose, default="")
    at: Mapped[datetime | None]

    bundle_version: Mapped[str] = mapped_column(Name(64), default="")
    width: Mapped[int | None]
    height: Mapped[int | None]
    defect_score: Mapped[float | None]
    score_bin: Mapped[int | None]
    foreign_score: Mapped[float | None]
    objections: Mapped[list[Any]] = mapped_column(default=list)
    judged: Mapped[bool] = mapped_column(default=True)
    top: Mapped[str | None] = mapped_column(Name(64))
    top_ok: Mapped[str | None] = mapped_column(Name(64))
    top_defect: Mapped[str | None] = mapped_column(Name(64))
    probabilities: Mapped[dict[str, float] | None]
    p0: Mapped[float | None]
    p1: Mapped[float | None]
    p2: Mapped[float | None]
    p3: Mapped[float | None]
    p4: Mapped[float | None]
    p5: Mapped[float | None]
    p6: Mapped[float | None]
    p7: Mapped[float | None]
    regions: Mapped[list[Any] | None]
    cut: Mapped[str] = mapped_column(Prose, default="")
    milliseconds: Mapped[dict[str, float] | None]
    record: Mapped[str | None] = mapped_column(Name(64), index=True)
    thumbnail: Mapped[str | None] = mapped_column(Name(64), index=True)

    decision: Mapped[str] = mapped_column(Name(16), default="")
    decided_label: Mapped[str] = mapped_column(Prose, default="")
    decided_by: Mapped[str] = mapped_column(Prose, default="")
    decided_at: Mapped[datetime | None]
    decided_note: Mapped[str] = mapped_column(Prose, default="")

    aged: Mapped[int] = mapped_column(BigInteger, default=0)
    stamp: Mapped[str] = mapped_column(Prose, default="")
    tries: Mapped[int] = mapped_column(default=0)


class ReviewRow(Base):
    """A person's decision on an inspection. Rows are only ever added: undoing one adds a row that
    says so in `undoes`. label: the class it belongs to, `|` between several, empty where none was
    given. settles: whether it ended a dispute of others."""

    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    inspection_id: Mapped[int] = mapped_column(
        ForeignKey("inspections.id", ondelete="CASCADE"), index=True
    )
    who: Mapped[str] = mapped_column(Name(200))
    at: Mapped[datetime] = mapped_column(default=now)
    decision: Mapped[str] = mapped_column(Name(16))
    label: Mapped[str] = mapped_column(Prose, default="")
    why: Mapped[str] = mapped_column(Prose, default="")
    policy: Mapped[dict[str, Any]]
    model_verdict: Mapped[str] = mapped_column(Name(16))
    undoes: Mapped[int | None] = mapped_column(ForeignKey("reviews.id"))
    settles: Mapped[bool] = mapped_column(default=False)


class RuleSetRow(Base):
    """Rules that parts were measured by: key is the SHA-256 of all that they depend on, used when
    they were last asked for, see store/measured.py."""

    __tablename__ = "rule_sets"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    key: Mapped[str] = mapped_column(Name(64), unique=True)
    used: Mapped[datetime] = mapped_column(default=now)


class MeasuredRow(Base):
    """What a set of rules says of an inspection, so that the database counts by it: computed, and
    computed anew where it is gone. label: the classes of broken rules, `|` between several."""

    __tablename__ = "measured"

    rule_set_id: Mapped[int] = mapped_column(
        ForeignKey("rule_sets.id", ondelete="CASCADE"), primary_key=True
    )
    inspection_id: Mapped[int] = mapped_column(
        ForeignKey("inspections.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    verdict: Mapped[str] = mapped_column(Name(16))
    label: Mapped[str] = mapped_column(Prose, default="")


class ReleaseRow(Base):
    """A version of a lot's verdicts that somebody answers for; rows are only ever added.

    number: of the lot's versions, the first one's is 1. policy_words: which policy it is, as text.
    counts: parts by final verdict. digest: SHA-256 of the record, which is kept as a file, see
    report/lot_record.py. program: the version of this program that made it.
    """

    __tablename__ = "releases"
    __table_args__ = (UniqueConstraint("batch_id", "number"),)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"))
    number: Mapped[int]
    title: Mapped[str] = mapped_column(Name(200))
    who: Mapped[str] = mapped_column(Name(200))
    why: Mapped[str] = mapped_column(Prose)
    at: Mapped[datetime] = mapped_column(default=now)
    policy: Mapped[dict[str, Any]]
    policy_words: Mapped[str] = mapped_column(Prose)
    counts: Mapped[dict[str, int]]
    digest: Mapped[str] = mapped_column(Name(64))
    program: Mapped[str] = mapped_column(Name(64))


class ReleaseFileRow(Base):
    """A file that was made with a release and leaves unchanged ever after: its bytes lie in the
    store under `digest`, their SHA-256."""

    __tablename__ = "release_files"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    release_id: Mapped[int] = mapped_column(
        ForeignKey("releases.id", ondelete="CASCADE"), index=True
    )
    title: Mapped[str] = mapped_column(Name(64))
    ending: Mapped[str] = mapped_column(Name(64))
    mime: Mapped[str] = mapped_column(Name(100))
    digest: Mapped[str] = mapped_column(Name(64), index=True)


class CounterRow(Base):
    """The last number that was given out, so that none is given twice."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(Name(64), primary_key=True)
    last: Mapped[int] = mapped_column(BigInteger)


class AboutStoreRow(Base):
    """The store as a whole, in one row.

    identity: of this database, which its files carry too, see store/ownership.py. writes: how often
    it was written beside the files. age: seconds that the store knows to have passed; seen: what
    the clock said when they were counted last; steady_from: the age before which nothing is
    removed, as the clock jumped; see store/age.py. standstill: why nothing is removed, where that
    is so.
    """

    __tablename__ = "about_store"

    identity: Mapped[str] = mapped_column(Name(36), primary_key=True)
    writes: Mapped[int] = mapped_column(BigInteger, default=0)
    age: Mapped[int] = mapped_column(BigInteger, default=0)
    seen: Mapped[datetime | None]
    steady_from: Mapped[int] = mapped_column(BigInteger, default=0)
    standstill: Mapped[str] = mapped_column(Prose, default="")


class DroppedFileRow(Base):
    """A file that this database needs no more, and that is removed some days later.

    age: of the store when it was dropped. who: the person who dropped it, or who confirmed that it
    may go; empty where its days were over and nobody was asked.
    """

    __tablename__ = "dropped_files"

    digest: Mapped[str] = mapped_column(Name(64), primary_key=True)
    age: Mapped[int] = mapped_column(BigInteger, index=True)
    who: Mapped[str] = mapped_column(Name(200), default="")


class WorkerRow(Base):
    """A worker that takes up whatever batch waits, of a server or of `defectvision work`.

    name: see batch/holder.py. program: its version. seen: when it last said that it lives, by the
    database's clock.
    """

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(Name(200), primary_key=True)
    program: Mapped[str] = mapped_column(Name(64))
    seen: Mapped[datetime]


class EvaluationRow(Base):
    """A bundle on labelled images, see store/evaluations.py.

    data: the images in words; source: where they come from. alive: when who works on it last said
    so, by the database's clock; done, total: images. summary: the figures, for lists; digest: of
    the file with everything, see evaluation/kept.py.
    """

    __tablename__ = "evaluations"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    line: Mapped[str] = mapped_column(Name(64), index=True)
    bundle: Mapped[str] = mapped_column(Name(64))
    bundle_version: Mapped[str] = mapped_column(Name(64))
    data: Mapped[str] = mapped_column(Prose)
    source: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(Name(16))
    message: Mapped[str] = mapped_column(Prose, default="")
    who: Mapped[str] = mapped_column(Name(200))
    made: Mapped[datetime] = mapped_column(default=now)
    ended: Mapped[datetime | None]
    alive: Mapped[datetime | None]
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    images: Mapped[int] = mapped_column(default=0)
    summary: Mapped[dict[str, Any]] = mapped_column(default=dict)
    digest: Mapped[str | None] = mapped_column(Name(64), index=True)


class AuditRow(Base):
    """Who changed what: policies, batches, retention. Rows are only ever added."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
    who: Mapped[str] = mapped_column(Name(200))
    what: Mapped[str] = mapped_column(Name(64))
    line: Mapped[str] = mapped_column(Name(64), default="")
    details: Mapped[dict[str, Any]]
