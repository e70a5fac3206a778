"""Labels that are probably wrong: what models that have not learned from an image, nor from another
one of its photo group, confidently say otherwise.

Confident learning (Northcutt et al. 2021, https://doi.org/10.1613/jair.1.12125): an image is
confidently of a class where its probability reaches the mean one of all images labelled so. The
share of the images labelled otherwise that are says how many labels are wrong, and those with the
lowest margin are pruned by it. The models are linear in what a bundle sees: it takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from defectvision.bundle.line import Line
from defectvision.words import counted

MODELS = 5  # that answer each image, each learned from other four fifths of the groups
FOLDS = 5
LEAST_IMAGES = 30
LEAST_GROUPS = FOLDS  # of each answer, so that every model has some to learn from
LEAST_KAPPA = 0.5  # of models and labels: with less, the models know too little
DIMENSIONS = 48  # of the embeddings, at most
STRENGTH = 0.1  # of a model against its regularisation


@dataclass(frozen=True, eq=False)
class Seen:
    """What a bundle sees of N images: embeddings (N, D), and of its answers (N, A) what may be
    used, see `inspector.Description`."""

    embeddings: NDArray[np.float32]
    answers: NDArray[np.float32]

    def take(self, rows: NDArray[np.int64]) -> Seen:
        return Seen(self.embeddings[rows], self.answers[rows])

    def reduced(self) -> NDArray[np.float64]:
        """(N, d): the main components of the embeddings, and the answers, all of one spread. No
        label is asked, so the images to answer are among those that it is made from."""
        count, size = self.embeddings.shape
        scaled = StandardScaler().fit_transform(self.embeddings.astype(np.float64))
        main = PCA(min(DIMENSIONS, count // 3, size), whiten=True, svd_solver="full")
        parts = [main.fit_transform(scaled)]
        if self.answers.shape[1]:
            parts.append(StandardScaler().fit_transform(self.answers.astype(np.float64)))
        return np.hstack(parts)


@dataclass(frozen=True)
class Doubt:
    """A label that is probably wrong. row: of the image; name: the class that `models` of MODELS
    find shown, or not where `shown` is False; probability: theirs of that, the mean; given: theirs
    of what the label says."""

    row: int
    name: str
    shown: bool
    probability: float
    given: float
    models: int

    def words(self, line: Line, label: Sequence[str]) -> str:
        """ "Labelled Good; 5 of 5 models that had not seen it say Crack, 0.97"."""
        what = line.title_of(self.name)
        if line.label_mode == "multilabel":
            what = f"it shows {what}" if self.shown else f"it shows no {what}"
        return (
            f"Labelled {line.titles(tuple(label))}; {self.models} of {MODELS} models that had not "
            f"seen it say {what}, {self.probability:.2f}"
        )


@dataclass(frozen=True)
class Doubts:
    """found: the most certain first, one an image at most. judged: labelled images that were asked
    about. refused: why nothing, or not everything, could be told; empty where all was."""

    found: tuple[Doubt, ...]
    judged: int
    refused: str = ""


def label_doubts(
    seen: Seen,
    labels: Sequence[Sequence[str]],
    groups: NDArray[np.int64],
    line: Line,
) -> Doubts:
    """Of N labelled images: what a bundle sees of them, the names of the classes of each, and its
    photo group. The same images and labels give the same doubts."""
    if said := too_few(len(labels)):
        return Doubts((), 0, said)
    rows, lacking, unknown = [], [], []
    best: dict[int, Doubt] = {}
    for names, targets in _questions(labels, line):
        known = np.unique(targets).tolist()
        enough = [k for k in known if len(np.unique(groups[targets == k])) >= LEAST_GROUPS]
        lacking += [names[k][0] for k in known if k not in enough]
        if len(enough) < 2:
            continue
        asked = np.flatnonzero(np.isin(targets, enough))
        answers = _out_of_fold(seen.take(asked), targets[asked], groups[asked])
        if cohen_kappa_score(targets[asked], answers.mean(0).argmax(1)) < LEAST_KAPPA:
            unknown += [names[k][0] for k in enough]
            continue
        rows.append(asked)
        for doubt in _doubts(answers, targets[asked]):
            name, shown = names[doubt.answer]
            found = Doubt(
                int(asked[doubt.place]), name, shown, doubt.probability, doubt.given, doubt.models
            )
            if found.row not in best or _rank(found) < _rank(best[found.row]):
                best[found.row] = found
    judged = len(np.unique(np.concatenate(rows))) if rows else 0
    refused = _refused(lacking, unknown, line)
    return Doubts(tuple(sorted(best.values(), key=_rank)), judged, refused or _alike(judged))


def too_few(labelled: int) -> str:
    """Why so few labelled images tell nothing; empty where they are enough."""
    if labelled >= LEAST_IMAGES:
        return ""
    few = counted(labelled, "image is", "images are")
    return f"{few} labelled: from {LEAST_IMAGES} on labels can be doubted"


def _rank(doubt: Doubt) -> float:
    """The normalised margin of the label: the lower, the surer that it is wrong."""
    return doubt.given - doubt.probability


def _refused(lacking: Sequence[str], unknown: Sequence[str], line: Line) -> str:
    """Why classes were left out: too few parts show them, or models do not know them."""
    said = []
    if lacking:
        said.append(
            f"{_titles(lacking, line)}: images of at least {LEAST_GROUPS} different parts are "
            "needed to doubt a label"
        )
    if unknown:
        said.append(
            f"{_titles(unknown, line)}: the models hardly find the labels of images that they have "
            "not seen, so they cannot doubt any. Label more, or train a bundle of the line"
        )
    return ". ".join(said)


def _titles(names: Sequence[str], line: Line) -> str:
    return ", ".join(dict.fromkeys(line.title_of(name) for name in names))


def _alike(judged: int) -> str:
    return "" if judged else "All images are labelled alike: there is nothing to compare"


def _questions(
    labels: Sequence[Sequence[str]], line: Line
) -> Iterator[tuple[list[tuple[str, bool]], NDArray[np.int64]]]:
    """What is asked of all images: the possible answers, and which the label of each gives. One
    question of a multiclass line, one for each class of a multilabel one."""
    if line.label_mode == "multiclass":
        names = list(line.class_names)
        answers = [(name, True) for name in names]
        yield answers, np.array([names.index(label[0]) for label in labels])
        return
    for name in line.defect_names:
        shown = np.array([name in label for label in labels], np.int64)
        yield [(name, False), (name, True)], shown


@dataclass(frozen=True)
class _Doubt:
    place: int
    answer: int
    probability: float
    given: float
    models: int


def _doubts(answers: NDArray[np.float64], targets: NDArray[np.int64]) -> Iterator[_Doubt]:
    """Of the images labelled with one answer as many as are confidently of another one, in their
    share of all: those whose labels have the lowest margin."""
    votes, mean = answers.argmax(2), answers.mean(0)
    rows, known = np.arange(len(targets)), np.unique(targets)
    usual = np.full(mean.shape[1], np.inf)
    for answer in known:
        usual[answer] = mean[targets == answer, answer].mean()
    above = np.where(mean >= usual, mean, 0)
    sure, confident = above.any(1), above.argmax(1)
    for given in known:
        own = targets == given
        for answer in known[known != given]:
            share = (sure & own & (confident == answer)).sum() / max(1, (sure & own).sum())
            margin = mean[:, answer] - mean[rows, targets]
            agreed = (votes == answer).sum(0)
            doubted = np.flatnonzero(own & (margin > 0) & (agreed > MODELS // 2))
            for place in doubted[np.argsort(-margin[doubted])][: round(share * own.sum())]:
                yield _Doubt(
                    int(place),
                    int(answer),
                    float(mean[place, answer]),
                    float(mean[place, given]),
                    int(agreed[place]),
                )


def _out_of_fold(
    seen: Seen, targets: NDArray[np.int64], groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(MODELS, N, K) probabilities of each answer, by models without the image's photo group."""
    reduced = seen.reduced()
    found = np.zeros((MODELS, len(targets), int(targets.max()) + 1))
    with threadpool_limits(1):  # more only wait for each other at sizes like these
        for number in range(MODELS):
            folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=number)
            for learned, asked in folds.split(reduced, targets, groups):
                model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1000)
                model.fit(reduced[learned], targets[learned])
                found[number][np.ix_(asked, model.classes_)] = model.predict_proba(reduced[asked])
    return found
