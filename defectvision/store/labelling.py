"""Labelled sets: images that people label to teach a line. What somebody said stays: a label is
added beside the earlier ones, and the last one counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from sklearn.metrics import cohen_kappa_score
from sqlalchemy import select
from sqlalchemy.orm import Session

from defectvision.bundle.labels import DEVIATION, is_good_name, join_labels, label_names
from defectvision.bundle.line import DefectClass, Line, free_colour
from defectvision.evaluation.seen import DIGITS
from defectvision.inference.image_error import ImageError
from defectvision.inference.images import decode_image
from defectvision.people import Action, Person, needs
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.files import digest_of
from defectvision.store.label_files import keep_masks, kept_masks
from defectvision.store.tables import (
    AuditRow,
    LabelledImageRow,
    LabelledSetRow,
    LabelRow,
    now,
)
from defectvision.words import as_text

HELD_SHARE = 0.2  # of the parts of each label, kept for measuring


@dataclass(frozen=True)
class Given:
    """An image file for a labelled set. part: which part it shows, where that is known."""

    name: str
    data: bytes
    part: str = ""


@dataclass(frozen=True)
class Added:
    """What became of given files, whose names need not differ: numbers of the new images and of
    those that were in the set already, each by its content's digest; what is wrong with the
    others."""

    images: Mapping[str, int]
    again: Mapping[str, int]
    refused: tuple[ImageError, ...]


@dataclass(frozen=True)
class Agreement:
    """How far people agree. images: that two people and more labelled; kappa: Cohen's, of their
    labels; iou: mean over the masks of a class that two people drew on one image; None where there
    is nothing to tell it by. differ: numbers of the images whose labels differ."""

    images: int
    kappa: float | None
    iou: float | None
    differ: tuple[int, ...]


@needs(Action.TEACH)
def new_set(
    session: Session, title: str, line: str, classes: Sequence[DefectClass], mode: str, who: Person
) -> LabelledSetRow:
    """An empty set; raises StoreError where no line could have such classes."""
    title = " ".join(as_text(title).split())
    if not title:
        raise StoreError("a labelled set needs a name. Say what part it is of")
    row = LabelledSetRow(
        title=title[:200],
        line=line,
        label_mode=mode,
        classes=[one.model_dump(mode="json") for one in classes],
        who=who.kept_as,
    )
    taught = line_of_set(row)
    for one in classes:
        _refuse_good(one)
    if taught.label_mode == "multiclass" and len(taught.classes) < 2:
        raise StoreError("one class tells nothing apart. Add a second one, a good one say")
    session.add(row)
    session.flush()
    _told(session, row, "labelled set made", who, classes=list(taught.class_names))
    return row


@needs(Action.TEACH)
def add_class(session: Session, number: int, defect: DefectClass, who: Person) -> None:
    """Let a set with a class for deviations name another defect, too. Raises StoreError where the
    set has none, or the name already."""
    row = get_set(session, number)
    line = line_of_set(row)
    if not line.deviates:
        raise StoreError(
            f"the set '{row.title}' has no class '{DEVIATION}', so what it tells apart stays as it "
            "is. Make another set with all classes"
        )
    _refuse_good(defect)
    if defect.kind != "defect" or defect.name in line.class_names:
        raise StoreError(f"the set has a class '{defect.name}' already. Give another name")
    coloured = defect.model_copy(update={"colour": free_colour(line.classes)})
    row.classes = [*row.classes, coloured.model_dump(mode="json")]
    _told(session, row, "defect named", who, defect=defect.name)


def _refuse_good(one: DefectClass) -> None:
    if one.kind == "defect" and is_good_name(one.name):
        raise StoreError(
            f"'{one.title}' is what good parts are called, and a defect of that name would be "
            "taken for none. Give another name"
        )


def line_of_set(row: LabelledSetRow) -> Line:
    """The line that a set teaches; its default bundle has no meaning yet. Raises StoreError where
    it would be none."""
    try:
        return Line.model_validate(
            {
                "name": row.line,
                "title": row.title,
                "classes": row.classes,
                "label_mode": row.label_mode,
                "default_bundle": "none",
            }
        )
    except ValidationError as error:
        said = error.errors()[0]
        where = ".".join(str(step) for step in said["loc"])
        raise StoreError(f"these classes make no line: {where}: {said['msg']}") from error


def every_set(session: Session) -> list[LabelledSetRow]:
    """Those that are in use, the newest first."""
    wanted = select(LabelledSetRow).where(LabelledSetRow.ended.is_(None))
    return list(session.scalars(wanted.order_by(LabelledSetRow.id.desc())))


def get_set(session: Session, number: int) -> LabelledSetRow:
    """Raises StoreError where there is none of that number."""
    row = session.get(LabelledSetRow, number)
    if row is None:
        raise StoreError(f"there is no labelled set {number}; see the list")
    return row


@needs(Action.TEACH)
def end_set(session: Session, number: int, who: Person, why: str) -> None:
    """Take a set out of the list; its images and labels are kept. Raises StoreError without a
    reason."""
    row = get_set(session, number)
    if not why.strip():
        raise StoreError("taking a labelled set away needs a reason: say why")
    row.ended = now()
    _told(session, row, "labelled set ended", who, why=why.strip())


@needs(Action.TEACH)
def add_images(
    store: Store, number: int, files: Iterable[Given], limit_pixels: int, who: Person
) -> Added:
    """Add image files that can be read whole; a file that was removed comes back."""
    added: dict[str, int] = {}
    again: dict[str, int] = {}
    refused = []
    for given in files:
        try:
            pixels = decode_image(given.data, given.name, limit_pixels)
        except ImageError as error:
            refused.append(error)
            continue
        digest = store.files.put(given.data)
        with store.session() as session:
            get_set(session, number)
            known = session.scalar(
                select(LabelledImageRow).where(
                    LabelledImageRow.set_id == number, LabelledImageRow.digest == digest
                )
            )
            if known is not None and known.removed is None:
                again[digest] = known.id
                continue
            if known is None:
                known = LabelledImageRow(
                    set_id=number,
                    digest=digest,
                    name=as_text(given.name)[-1000:],
                    height=pixels.shape[0],
                    width=pixels.shape[1],
                    part=given.part[:200],
                    who=who.kept_as,
                )
                session.add(known)
            known.removed = None
            session.flush()
            added[digest] = known.id
    if added:
        with store.session() as session:
            _told(session, get_set(session, number), "images added", who, images=len(added))
    return Added(added, again, tuple(refused))


@needs(Action.DECIDE)
def say(
    store: Store,
    image: int,
    names: Collection[str],
    masks: Mapping[str, NDArray[np.bool_]],
    who: Person,
    note: str = "",
) -> LabelRow:
    """Label an image: its classes, and what was drawn of them, each (H, W) of the image. Raises
    StoreError for what cannot be so."""
    with store.reading() as session:
        row = _image(session, image)
        line = line_of_set(get_set(session, row.set_id))
    label = _checked(row, line, names, masks)
    digest = keep_masks(store.files, masks)
    with store.session() as session:
        row = _image(session, image, alone=True)
        said = LabelRow(image_id=image, who=who.kept_as, label=label, masks=digest, note=note)
        session.add(said)
        session.flush()
        row.label, row.masks, row.labelled = label, digest, said.at
        return said


def _checked(
    row: LabelledImageRow, line: Line, names: Collection[str], masks: Mapping[str, Any]
) -> str:
    """The label as it is kept."""
    if row.removed is not None:
        raise StoreError(f"{row.name}: was taken out of the set. Add it again to label it")
    if unknown := set(names) - set(line.class_names):
        raise StoreError(f"{row.name}: the set has no class '{min(unknown)}'")
    good = set(names) & set(line.good_names)
    if line.label_mode == "multiclass" and len(set(names)) != 1:
        raise StoreError(f"{row.name}: takes one class, and got {len(set(names))}")
    if good and len(set(names)) > 1:
        raise StoreError(f"{row.name}: is good or shows a defect, not both")
    for name, mask in masks.items():
        if mask.shape != (row.height, row.width):
            raise StoreError(f"{row.name}: what was drawn has another size than the image")
        if mask.any() and (name not in names or name in line.good_names):
            raise StoreError(
                f"{row.name}: '{name}' was drawn on an image that is not said to show it. Choose "
                "the class too, or erase it"
            )
    return join_labels(name for name in line.class_names if name in names)


@needs(Action.TEACH)
def remove_images(session: Session, images: Iterable[int], who: Person) -> int:
    """Take images out of their set; what was said of them is kept. Returns how many."""
    rows = [_image(session, image) for image in images]
    taken = [row for row in rows if row.removed is None]
    for row in taken:
        row.removed = now()
    for number, count in Counter(row.set_id for row in taken).items():
        _told(session, get_set(session, number), "images taken out", who, images=count)
    return len(taken)


@needs(Action.TEACH)
def hold_back(
    session: Session,
    number: int,
    who: Person,
    share: float = HELD_SHARE,
    learned: Collection[str] = (),
) -> int:
    """Keep of each label a `share` of its parts for measuring, chosen by their content; what is
    held stays so. Parts of `learned`, which are starts of the SHA-256 of images that a bundle knows
    already, measure nothing and are left; of the others, half stay to be learned from. Returns how
    many images are held now."""
    rows = images_of(session, number, labelled=True)
    parts: dict[str, list[LabelledImageRow]] = {}
    for row in rows:
        parts.setdefault(row.part or row.digest, []).append(row)
    by_label: dict[str, list[list[LabelledImageRow]]] = {}
    for name in sorted(parts, key=lambda name: digest_of(name.encode())):
        label = Counter(row.label for row in parts[name]).most_common(1)[0][0]
        by_label.setdefault(label, []).append(parts[name])
    for alike in by_label.values():
        held = [part for part in alike if any(row.held for row in part)]
        free = [
            part
            for part in alike
            if not any(row.held or row.digest[:DIGITS] in learned for row in part)
        ]
        more = max(0, round(share * len(alike)) - len(held))
        for row in chain.from_iterable((*held, *free[: min(more, (len(free) + 1) // 2)])):
            row.held = True
    count = sum(row.held for row in rows)
    _told(session, get_set(session, number), "images held back", who, images=count)
    return count


def images_of(
    session: Session, number: int, *, labelled: bool | None = None, held: bool | None = None
) -> list[LabelledImageRow]:
    """The images of a set in the order they were added."""
    wanted = select(LabelledImageRow).where(
        LabelledImageRow.set_id == number, LabelledImageRow.removed.is_(None)
    )
    if labelled is not None:
        said = LabelledImageRow.labelled
        wanted = wanted.where(said.is_not(None) if labelled else said.is_(None))
    if held is not None:
        wanted = wanted.where(LabelledImageRow.held == held)
    return list(session.scalars(wanted.order_by(LabelledImageRow.id)))


def labels_of(session: Session, image: int) -> list[LabelRow]:
    """All that was said of an image, the oldest first."""
    wanted = select(LabelRow).where(LabelRow.image_id == image).order_by(LabelRow.id)
    return list(session.scalars(wanted))


def count_labels(session: Session, number: int) -> dict[str, int]:
    """Labelled images of a set by class; those of several count for each."""
    counts: Counter[str] = Counter()
    for row in images_of(session, number, labelled=True):
        counts.update(label_names(row.label) or ("",))
    return dict(counts)


def agreement(store: Store, number: int) -> Agreement:
    """Of the last word of each person on each image. Raises StoreError where a file is lost."""
    with store.reading() as session:
        said = session.execute(
            select(LabelRow)
            .join(LabelledImageRow, LabelledImageRow.id == LabelRow.image_id)
            .where(LabelledImageRow.set_id == number, LabelledImageRow.removed.is_(None))
            .order_by(LabelRow.id)
        ).scalars()
        last: dict[int, dict[str, LabelRow]] = {}
        for row in said:
            last.setdefault(row.image_id, {})[row.who] = row
    pairs = [
        (image, one, other)
        for image, people in last.items()
        for one, other in combinations([people[name] for name in sorted(people)], 2)
    ]
    if not pairs:
        return Agreement(0, None, None, ())
    first, second = [one.label for _, one, _ in pairs], [other.label for _, _, other in pairs]
    kappa = None
    if len({*first, *second}) > 1:
        kappa = float(cohen_kappa_score(first, second))
    shares = []
    for _, one, other in pairs:
        ours, theirs = (kept_masks(store.files, row.masks) for row in (one, other))
        shares += [
            float((ours[name] & theirs[name]).sum() / (ours[name] | theirs[name]).sum())
            for name in ours.keys() & theirs.keys()
        ]
    differ = sorted({image for image, one, other in pairs if one.label != other.label})
    images = len({image for image, _, _ in pairs})
    return Agreement(images, kappa, float(np.mean(shares)) if shares else None, tuple(differ))


def _image(session: Session, number: int, alone: bool = False) -> LabelledImageRow:
    """alone: others who label it at the same moment wait until this session ends, so that the
    label which stands is the one that was said last."""
    row = session.get(LabelledImageRow, number, with_for_update=alone)
    if row is None:
        raise StoreError(f"there is no image {number} in any labelled set")
    return row


def _told(session: Session, row: LabelledSetRow, what: str, who: Person, **more: Any) -> None:
    details = {"labelled_set": row.id, "title": row.title, **more}
    session.add(AuditRow(who=who.kept_as, what=what, line=row.line, details=details))
