"""Labels of a set that are doubted: those that were made wrong, until somebody mends them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision.bundle.line import DefectClass
from defectvision.bundle.reader import load_bundle
from defectvision.limits import PIXELS
from defectvision.people import unproven
from defectvision.store import labelling
from defectvision.store.database import Store
from defectvision.web.label.doubts import LabelDoubts
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.stores import new_store

ADA = unproven("ada")
IMAGES, PLANTED = 40, (4, 9, 20)
CLASSES = [
    DefectClass(name="fine", title="Fine part", kind="ok", colour="#00aa00"),
    DefectClass(name="burnt", title="Burnt", kind="defect", colour="#aa0000"),
]


def shown(number: int) -> str:
    return "burnt" if number % 2 else "fine"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Smooth parts that are fine and rough ones that are burnt; three are labelled otherwise."""
    made = new_store(tmp_path)
    with made.session() as session:
        labelling.new_set(session, "Caps", "caps", CLASSES, "multiclass", ADA)
    for i in range(IMAGES):
        noise = {"fine": 4, "burnt": 30}[shown(i)]
        ramp = np.linspace(60, 190, 60)[None]
        pixels = np.random.default_rng(i).normal(ramp, noise, (60, 60)).clip(0, 255)
        data = cv2.imencode(".png", pixels.astype(np.uint8))[1].tobytes()
        labelling.add_images(made, 1, [labelling.Given(f"{i}.png", data)], PIXELS, ADA)
        labelling.say(made, i + 1, [shown(i + (i in PLANTED))], {}, ADA)
    return made


def test_wrong_labels_come_first_until_they_are_mended(store, tmp_path) -> None:
    write_bundle(tmp_path / "weights", "neu-surface", "resnet50")
    loaded = load_bundle(tmp_path / "weights", "neu-surface")

    def rows():
        with store.reading() as session:
            return labelling.images_of(session, 1, labelled=True)

    with store.reading() as session:
        line = labelling.line_of_set(labelling.get_set(session, 1))
    doubts = LabelDoubts(line, loaded, taught=True)
    assert doubts.look(store, rows()[:20]) == [] and "from 30 on" in doubts.about
    assert doubts.described is None  # nothing was asked about
    found = doubts.look(store, rows())
    assert set(found[: len(PLANTED)]) == {i + 1 for i in PLANTED}
    assert doubts.reasons[PLANTED[0] + 1].startswith(
        "Labelled Burnt; 5 of 5 models that had not seen it say Fine part, 0."
    )
    assert "know a wrong label by heart" in doubts.about
    described = doubts.described
    for i in PLANTED:
        labelling.say(store, i + 1, [shown(i)], {}, ADA)
    assert doubts.look(store, rows()) == [] and doubts.described is described
