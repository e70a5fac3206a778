"""An upload is decoded once for thumbnail, model and viewer, and its regions are cut once."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import load_bundle
from defectvision.inference import images as decoding
from defectvision.inference import regions as cutting
from defectvision.inference.inspector import Inspector
from defectvision.limits import PIXELS
from defectvision.web.inspect.overview import dropped_image, table_row
from defectvision.web.judged_table import cells
from defectvision.web.session.work import Work
from defectvision.web.verdict_card import contradiction
from defectvision.web.viewer.layers import mask_data
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import CLEAR_DEFECT, GOOD, casting
from tests.stand_ins.counting import Calls
from tests.stand_ins.strips import encoded, strip_with


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch, decoding, "_pixels")


def shown(work: Work, line: str, model: Inspector, policy: Policy) -> None:
    """What one run of the Inspect page asks for, without its widgets."""
    results = work.images.results(line, model.loaded.version)
    image = dropped_image(work, work.images.open_result(line, results), policy)
    assert image is not None and image.picture is not None
    contradiction(image.inspection.verdict(policy), image.cut.regions)
    mask_data(image.inspection, image.cut)
    for result in results:
        cells(table_row(work, result, policy), policy)


@pytest.mark.parametrize("names", [["a.png"], ["a.png", "b.png", "c.png"]])
def test_each_upload_is_decoded_once(names, inspector: Inspector, decodings: Calls) -> None:
    work = Work()
    files = [casting("def", 200 + place) for place in range(len(names))]
    work.images.queue("casting", zip(names, files, strict=True))
    list(work.images.take_in("casting"))
    assert decodings.count == 0
    list(work.images.inspect("casting", inspector, work.pictures))
    for policy in (Policy(), Policy(reject_above=0.9)):
        shown(work, "casting", inspector, policy)
    assert decodings.count == len(names)
    results = work.images.results("casting", inspector.loaded.version)
    assert all(result.inspection.thumbnail for result in results)
    assert all(result.inspection.pixels is None for result in results)  # memory


def test_another_image_is_decoded_when_it_is_opened(inspector: Inspector, decodings: Calls) -> None:
    work = Work()
    files = [("a.png", casting(*GOOD)), ("b.png", casting(*CLEAR_DEFECT))]
    work.images.queue("casting", files)
    list(work.images.take_in("casting"))
    list(work.images.inspect("casting", inspector, work.pictures))
    shown(work, "casting", inspector, Policy())
    work.images.open("casting", work.images.entries["casting"][1].number)
    for _ in range(2):
        shown(work, "casting", inspector, Policy())
    assert decodings.count == 3


def test_an_image_that_the_model_wants_reduced_is_shown_whole(
    inspector: Inspector, tmp_path: Path
) -> None:
    write_bundle(tmp_path, "neu-surface", "resnet50")
    model = Inspector(load_bundle(tmp_path, "neu-surface"), PIXELS)
    large = cv2.imencode(".jpg", np.full((1200, 1600), 128, np.uint8))[1].tobytes()
    work = Work()
    work.images.queue("neu-surface", [("a.jpg", large)])
    list(work.images.take_in("neu-surface"))
    list(work.images.inspect("neu-surface", model, work.pictures))
    (result,) = work.images.results("neu-surface", model.loaded.version)
    image = dropped_image(work, result, Policy())
    assert image is not None
    assert image.picture == work.pictures.of("again", large, PIXELS, None)


@pytest.fixture
def strips(tmp_path: Path) -> Inspector:
    write_bundle(tmp_path, "severstal-strip", "unet")
    return Inspector(load_bundle(tmp_path, "severstal-strip"), PIXELS)


def test_regions_are_cut_once_for_a_policy(
    strips: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, line = Work(), "severstal-strip"
    work.images.queue(
        line, [("a.png", encoded(strip_with())), ("b.png", encoded(strip_with()[::-1]))]
    )
    list(work.images.take_in(line))
    list(work.images.inspect(line, strips, work.pictures))
    cuts = Calls(monkeypatch, cutting, "class_areas")
    classes = len(strips.loaded.bundle.mask_classes)
    for policy, images in (
        (Policy(), 2),  # the open one and the other row of the table
        (Policy(accept_below=0.1), 2),  # cuts the same
        (Policy(mm_per_px=0.5), 2),  # only measures them otherwise
        (Policy(smallest_region_px=100), 4),
    ):
        for _ in range(3):
            shown(work, line, strips, policy)
        assert cuts.count == images * classes
