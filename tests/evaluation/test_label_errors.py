"""Labels that were made wrong on purpose are doubted first, and others are not."""

from __future__ import annotations

import numpy as np
import pytest

from defectvision.evaluation.label_errors import LEAST_IMAGES, MODELS, Seen, label_doubts
from tests.stand_ins.bundles import LINES

PARTS, VIEWS, SIDE = 70, 2, 24


def made_up(names: tuple[str, ...], wrong: int, several: bool = False):
    """Embeddings of parts that lie about the centres of their classes, seen twice; of the first
    `wrong` parts both pictures are labelled as another class. Returns embeddings, labels, groups
    and which were labelled wrong."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((len(names), SIDE)) * 1.3
    true = (
        rng.integers(0, 2, (PARTS, len(names)))
        if several
        else np.eye(len(names), dtype=int)[np.arange(PARTS) % len(names)]
    )
    said = true.copy()
    said[:wrong] = 1 - said[:wrong] if several else np.roll(said[:wrong], 1, axis=1)
    where = true @ centres + rng.standard_normal((PARTS, SIDE))
    shown = np.repeat(where, VIEWS, axis=0) + 0.05 * rng.standard_normal((PARTS * VIEWS, SIDE))
    labels = [tuple(n for n, s in zip(names, row, strict=True) if s) for row in said]
    groups = np.repeat(np.arange(PARTS), VIEWS)
    seen = Seen(shown.astype(np.float32), np.zeros((len(groups), 0), np.float32))
    return seen, [labels[g] for g in groups], groups, groups < wrong


@pytest.mark.parametrize("name", ["neu-surface", "casting", "severstal-strip"])
def test_planted_errors_come_first(name: str) -> None:
    line = LINES[name]
    several = line.label_mode == "multilabel"
    names = line.defect_names if several else line.class_names
    shown, labels, groups, planted = made_up(names, 7, several)
    found = label_doubts(shown, labels, groups, line)
    assert (found.judged, found.refused) == (PARTS * VIEWS, "")
    first = [doubt.row for doubt in found.found[: planted.sum()]]
    assert planted[first].mean() >= 0.75 and len(first) >= 0.6 * planted.sum()
    assert all(d.models > MODELS // 2 and d.probability > d.given for d in found.found)
    if not several:
        words = found.found[0].words(line, labels[first[0]])
        assert words.startswith(f"Labelled {line.titles(labels[first[0]])}; 5 of 5 models")
    assert found == label_doubts(shown, labels, groups, line)
    # Where pictures of one part are taken for parts of their own, one vouches for the other.
    torn = label_doubts(shown, labels, np.arange(len(groups)), line)
    assert sum(planted[d.row] for d in torn.found) < sum(planted[d.row] for d in found.found)


def test_right_labels_are_hardly_doubted() -> None:
    shown, labels, groups, _ = made_up(LINES["neu-surface"].class_names, 0)
    assert len(label_doubts(shown, labels, groups, LINES["neu-surface"]).found) <= 2


def test_what_is_too_few_is_said() -> None:
    line = LINES["neu-surface"]
    shown, labels, groups, _ = made_up(line.class_names, 4)
    few = label_doubts(shown.take(np.arange(20)), labels[:20], groups[:20], line)
    assert few.found == () and f"from {LEAST_IMAGES} on" in few.refused
    alike = label_doubts(shown, [("patches",)] * len(labels), groups, line)
    assert alike.found == () and "alike" in alike.refused
    rare = [("scratches",) if g < 3 else ("patches", "crazing")[g % 2 : g % 2 + 1] for g in groups]
    found = label_doubts(shown, rare, groups, line)
    assert "Scratches" in found.refused and found.judged == (groups >= 3).sum()
    assert all(d.name != "scratches" for d in found.found)
