"""How good frozen features are: what simple readers make of them on labelled sets.

A linear reader and the nearest neighbours answer each image from the features of the others, whole
photo groups apart. The figures follow a training of features; they are no figures of a line.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from defectvision import atomic, roots
from defectvision.data.catalog import Catalog
from defectvision.inference.images import decode_image

PER_CLASS = 400  # images at most
FOLDS = 5
NEIGHBOURS = 10

Features = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class ProbeSet:
    """Labelled pictures, decoded. images: (N, S, S) float16, each of mean 0 and deviation 1 within
    its inscribed circle and 0 outside; labels and groups: (N,) text."""

    name: str
    images: NDArray[np.float16]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]


def read_probe_set(catalog: Catalog, size: int, cache: Path) -> ProbeSet:
    """Up to PER_CLASS images of each class, of as many photo groups as there are; kept in `cache`.

    Only the inscribed circle of a picture is shown: in the castings, the table in the corners
    tells good from bad by itself.
    """
    labels = catalog.table["label"].to_numpy(str)
    groups = np.asarray(catalog.groups(), str)
    rows = np.concatenate([_spread(labels == label, groups) for label in np.unique(labels)])
    content = "\n".join(f"{catalog.image_path(int(i))} {labels[i]} {groups[i]}" for i in rows)
    key = hashlib.sha256(f"{size}\n{content}".encode()).hexdigest()[:16]
    file = cache / f"{catalog.root.name}-{key}.npy"
    if not file.is_file():
        images = np.stack([_shown(catalog.image_path(int(i)), size) for i in rows])
        with atomic.replacing(file) as fresh:
            np.save(fresh, images)
    return ProbeSet(catalog.root.name, np.load(file, mmap_mode="r"), labels[rows], groups[rows])


def _spread(chosen: NDArray[np.bool_], groups: NDArray[np.str_]) -> NDArray[np.int_]:
    """Up to PER_CLASS of the chosen rows, taken from each group in turn."""
    members: dict[str, list[int]] = defaultdict(list)
    for row in np.random.default_rng(0).permutation(np.flatnonzero(chosen)):
        members[groups[row]].append(int(row))
    turns = sorted(
        (place, group, row) for group, rows in members.items() for place, row in enumerate(rows)
    )
    return np.array(sorted(row for _, _, row in turns[:PER_CLASS]), int)


def _shown(path: Path, size: int) -> NDArray[np.float16]:
    pixels = decode_image(roots.content(path), path.name)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    shrinks = min(pixels.shape) > size
    grey = cv2.resize(
        pixels, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    ).astype(np.float32)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    circle = np.hypot(y, x) <= size / 2
    inside = grey[circle]
    return np.where(circle, (grey - inside.mean()) / (inside.std() + 1e-6), 0).astype(np.float16)


def probe(features: Features, images: ProbeSet, batch: int = 32) -> dict[str, float]:
    """The figures of both readers: `linear` and `neighbours`, AUC of two classes or macro F1.

    features: (B, S, S) float32 pictures of mean 0 and deviation 1 to (B, D) float32.
    """
    parts = [
        features(np.asarray(images.images[i : i + batch], np.float32))
        for i in range(0, len(images.images), batch)
    ]
    X, y = np.concatenate(parts), images.labels
    readers = {
        "linear": LogisticRegression(C=0.01, max_iter=2000),
        "neighbours": KNeighborsClassifier(NEIGHBOURS, metric="cosine", weights="distance"),
    }
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    parts = list(folds.split(X, y, images.groups))
    figures = {}
    for name, reader in readers.items():
        classes = np.unique(y)
        answers = np.zeros((len(y), len(classes)))
        for train, test in parts:
            fitted = make_pipeline(StandardScaler(), reader).fit(X[train], y[train])
            answers[np.ix_(test, np.searchsorted(classes, fitted.classes_))] = fitted.predict_proba(
                X[test]
            )
        if len(classes) == 2:
            figure = roc_auc_score(y == classes[1], answers[:, 1])
        else:
            figure = f1_score(y, classes[answers.argmax(1)], average="macro")
        figures[name] = round(float(figure), 4)
    return figures
