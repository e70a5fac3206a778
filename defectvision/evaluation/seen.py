"""Which images a bundle has learned from, or from a copy of which."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from defectvision import roots
from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import FINGERPRINTS_FILE, SEEN_FILE
from defectvision.copies.fingerprints import FingerprintError, Fingerprints
from defectvision.copies.keypoints import Points, as_grey, detect
from defectvision.data.catalog import Catalog
from defectvision.data.image_set import ImageSet
from defectvision.evaluation.kept import UNSEEN, Seen
from defectvision.inference.images import ImageError
from defectvision.inference.labelled_images import read_pixels
from defectvision.words import counted

DIGITS = 16  # hexadecimal digits of an image's SHA-256 that are kept


SAME_IMAGE: Seen = "same image"
NEAR_COPY: Seen = "near-copy"
SAME_GROUP: Seen = "same photo group"


def image_digest(path: Path) -> str:
    """The start of the SHA-256 of a file; raises OSError."""
    return hashlib.sha256(roots.content(path)).hexdigest()[:DIGITS]


def digests_of(folder: Path) -> frozenset[str]:
    """`image_digest` of each image that the bundle in `folder` was trained or tuned on; none where
    it does not say. Raises BundleError for a file that was damaged."""
    listed = folder / SEEN_FILE
    try:
        return frozenset(listed.read_text(encoding="ascii").split() if listed.is_file() else ())
    except UnicodeDecodeError as error:
        raise BundleError(
            f"{listed}: does not list digests of images, so it was damaged. Copy the whole bundle "
            "folder again"
        ) from error


def exactly_seen(catalog: Catalog, folder: Path) -> NDArray[np.bool_]:
    """(N,) the images whose very files the bundle in `folder` was trained or tuned on."""
    known = digests_of(folder)
    return np.array([_is_known(catalog.image_path(i), known) for i in range(len(catalog))], bool)


def how_seen(
    images: ImageSet, folder: Path, advance: Callable[[], None] = lambda: None
) -> list[Seen]:
    """How the bundle in `folder` knows each image.

    `advance` is called for each image. Copies are looked for among images of groups that are not
    known otherwise; a bundle without fingerprints knows none. Raises OSError, BundleError and
    FingerprintError.
    """
    exact, groups = exactly_seen(images.catalog, folder), images.catalog.groups()
    grouped = np.isin(groups, np.unique(groups[exact]))
    copies = np.zeros(len(exact), bool)
    for _ in range(int(grouped.sum())):
        advance()
    others = np.flatnonzero(~grouped)
    prints = fingerprints_of(folder)
    for row, found in zip(others, _points(images, others), strict=True):
        copies[row] = found is not None and prints.knows(found)
        advance()
    grouped = np.isin(groups, np.unique(groups[exact | copies]))
    return [
        SAME_IMAGE if same else NEAR_COPY if copy else SAME_GROUP if near else UNSEEN
        for same, copy, near in zip(exact, copies, grouped, strict=True)
    ]


def in_words(known: Sequence[Seen]) -> str:
    """How many of the images of `how_seen` are known, and how; for people."""
    told = {
        SAME_IMAGE: "that the bundle learned from",
        NEAR_COPY: "that are copies of such",
        SAME_GROUP: "of the photo groups of these",
    }
    counts = {how: known.count(how) for how in told}
    parts = [f"{number} {told[how]}" for how, number in counts.items() if number]
    return f"{sum(counts.values())} of {counted(len(known), 'image')} are known: {', '.join(parts)}"


def fingerprints_of(folder: Path) -> Fingerprints:
    """Those of the bundle in `folder`; of no picture where it has none. Raises OSError and
    FingerprintError."""
    file = folder / FINGERPRINTS_FILE
    if not file.is_file():
        return Fingerprints.of(())
    try:
        return Fingerprints.read(file.read_bytes())
    except FingerprintError as error:
        raise FingerprintError(f"{file}: {error}. Export the bundle again") from error


def make_fingerprints(images: ImageSet, advance: Callable[[], None] = lambda: None) -> Fingerprints:
    """Of all images of the set that can be read; `advance` is called for each image."""
    groups = images.catalog.groups().tolist()

    def pictures() -> Iterator[tuple[str, Points]]:
        for group, found in zip(groups, _points(images, range(len(groups))), strict=True):
            advance()
            if found is not None:
                yield group, found

    return Fingerprints.of(pictures())


def _points(images: ImageSet, rows: Iterable[int]) -> Iterator[Points | None]:
    """The points of images, in order; None of one that cannot be read."""
    with threadpool_limits(1):
        crew = Parallel(n_jobs=cpu_count(), backend="threading", return_as="generator")
        yield from crew(delayed(_points_of)(images, int(row)) for row in rows)


def _points_of(images: ImageSet, row: int) -> Points | None:
    try:
        return detect(as_grey(read_pixels(images, row)))
    except ImageError:
        return None


def _is_known(path: Path, digests: frozenset[str]) -> bool:
    try:
        return image_digest(path) in digests
    except OSError:  # named where it is inspected
        return False
