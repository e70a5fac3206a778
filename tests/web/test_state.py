"""The session's work, without a server: what is kept, what is inferred, what a policy decides."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.reader import load_bundle
from defectvision.data.synthetic.samples import draw
from defectvision.inference.inspector import AHEAD, Inspector
from defectvision.limits import PIXELS
from defectvision.web.inspect.explanation import why_no_gradients
from defectvision.web.inspect.intake import DRAWN_LINES
from defectvision.web.state import Work, count_verdicts, file_stem
from tests.stand_ins.bundles import LINES, write_bundle
from tests.stand_ins.castings import CLEAR_DEFECT, GOOD, casting
from tests.stand_ins.strips import encoded, strip_with

LIMIT = 64_000_000


class Counting:
    """A runtime that counts the images it is given."""

    name = "counting"

    def __init__(self, runtime):
        self.runtime, self.seen, self.workers = runtime, 0, 1

    def run(self, images, alone=True):
        self.seen += len(images)
        return self.runtime.run(images, alone)


@pytest.fixture(scope="module")
def inspector(tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    weights = tmp_path_factory.mktemp("weights")
    write_bundle(weights, "casting", "resnet50")
    return Inspector(load_bundle(weights, "casting"), PIXELS)


@pytest.fixture
def counting(inspector: Inspector) -> Inspector:
    return Inspector(inspector.loaded, PIXELS, Counting(inspector.runtime))


def finish(work: Work, inspector: Inspector) -> None:
    list(work.take_in("casting", LIMIT))
    list(work.inspect("casting", inspector))


def test_equal_content_is_inferred_once_and_listed_apart(counting: Inspector) -> None:
    work = Work()
    work.queue("casting", [("a.png", casting(*GOOD)), ("a.png", casting(*GOOD))])
    finish(work, counting)
    work.queue("casting", [("b.png", casting(*GOOD)), ("c.png", casting(*CLEAR_DEFECT))])
    finish(work, counting)
    results = work.results("casting", counting.loaded.version)
    assert [r.inspection.name for r in results] == ["a.png", "a (2).png", "b.png", "c.png"]
    assert counting.runtime.seen == 2


def test_another_version_is_inferred_anew(counting: Inspector) -> None:
    work = Work()
    work.queue("casting", [("a.png", casting(*GOOD))])
    finish(work, counting)
    assert work.pending("casting", counting.loaded.version) == []
    assert len(work.pending("casting", "another")) == 1
    assert work.results("casting", "another") == []


def test_what_cannot_be_used_keeps_its_place_and_reason(inspector: Inspector) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("lot/good.png", casting(*GOOD))
        archive.writestr("lot/bad.png", b"no image")
    work = Work()
    files = [("broken.png", casting(*GOOD)[:500]), ("lot.zip", packed.getvalue()), ("e.png", b"")]
    work.queue("casting", files)
    finish(work, inspector)
    results = work.results("casting", inspector.loaded.version)
    assert [(r.entry.name, r.error is None) for r in results] == [
        ("broken.png", False), ("lot.zip/lot/good.png", True), ("lot.zip/lot/bad.png", False),
        ("e.png", False),
    ]  # fmt: skip
    assert results[0].error.name == "broken.png"
    assert all(r.error.reason and r.error.remedy for r in results if r.error)


def test_images_larger_than_the_limit_are_refused(inspector: Inspector) -> None:
    work = Work()
    work.queue("casting", [("a.png", casting(*GOOD))])
    list(work.take_in("casting", 300 * 300 - 1))
    (result,) = work.results("casting", inspector.loaded.version)
    assert "megapixels" in result.error.reason


def test_broken_off_work_goes_on_where_it_stopped(counting: Inspector) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for seed in range(20):
            archive.writestr(f"{seed}.png", casting("ok", seed))
    work = Work()
    work.queue("casting", [("lot.zip", packed.getvalue())])
    opening = work.take_in("casting", LIMIT)
    next(opening), next(opening)
    opening.close()
    inspecting = work.inspect("casting", counting)
    next(inspecting)
    inspecting.close()
    (first,) = work.results("casting", counting.loaded.version)
    finish(work, counting)
    results = work.results("casting", counting.loaded.version)
    assert [r.entry.name for r in results] == [f"lot.zip/{i}.png" for i in range(20)]
    assert results[0].inspection.logits is first.inspection.logits
    # What was under way when it was broken off is inspected again.
    assert counting.runtime.seen <= 20 + 1 + AHEAD * counting.runtime.workers


def test_clearing_a_line_leaves_the_others(inspector: Inspector) -> None:
    work = Work()
    for line in ("casting", "other"):
        work.queue(line, [("a.png", casting(*GOOD))])
        list(work.take_in(line, LIMIT))
    work.queue("casting", [("b.png", casting(*CLEAR_DEFECT))])
    finish(work, inspector)
    work.clear("casting")
    assert work.results("casting", inspector.loaded.version) == []
    assert [e.name for e in work.entries["other"]] == ["a.png"]
    assert set(work.content) == {work.entries["other"][0].digest}


def test_stepping_passes_over_what_was_not_inspected(inspector: Inspector) -> None:
    work = Work()
    names = ["a.png", "broken.png", "c.png"]
    data = [casting(*GOOD), b"no image", casting(*CLEAR_DEFECT)]
    work.queue("casting", zip(names, data, strict=True))
    finish(work, inspector)
    results = work.results("casting", inspector.loaded.version)
    seen = [work.open_result("casting", results).entry.name]
    for by in (1, 1, -1, -1):
        work.step("casting", results, by)
        seen.append(work.open_result("casting", results).entry.name)
    assert seen == ["a.png", "c.png", "c.png", "a.png", "a.png"]


def test_what_was_dropped_in_last_is_opened(inspector: Inspector) -> None:
    work = Work()
    work.queue("casting", [("a.png", casting(*GOOD))])
    finish(work, inspector)
    work.queue("casting", [("broken.png", b"no image"), ("b.png", casting(*CLEAR_DEFECT))])
    finish(work, inspector)
    results = work.results("casting", inspector.loaded.version)
    assert work.open_result("casting", results).entry.name == "b.png"


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ([("accept_below", 0.5)], (0.5, 0.7)),
        ([("accept_below", 0.9)], (0.9, 0.9)),
        ([("reject_above", 0.1)], (0.1, 0.1)),
        ([("reject_above", 0.1), ("reject_above", 0.8)], (0.1, 0.8)),
        ([("accept_below", 7.0)], (1.0, 1.0)),
        ([("reject_above", -1.0)], (0.0, 0.0)),
    ],
)
def test_thresholds_stay_in_order(inspector: Inspector, moves, expected) -> None:
    work = Work()
    for name, value in moves:
        work.set_threshold(inspector.loaded, name, value)
    policy = work.policy(inspector.loaded)
    assert (policy.accept_below, policy.reject_above) == expected
    work.reset_policy(inspector.loaded)
    assert work.policy(inspector.loaded) == inspector.loaded.bundle.policy


def test_a_moved_threshold_keeps_the_rest_of_the_policy(inspector: Inspector) -> None:
    work = Work()
    work.change_policy(inspector.loaded, smallest_region_px=9, mm_per_px=0.2)
    work.set_class_value(inspector.loaded, "mask_thresholds", "def", 0.8)
    work.set_class_value(inspector.loaded, "mask_thresholds", "ok", 1.7)
    work.set_threshold(inspector.loaded, "reject_above", 0.9)
    policy = work.policy(inspector.loaded)
    assert (policy.accept_below, policy.reject_above) == (0.3, 0.9)
    assert (policy.smallest_region_px, policy.mm_per_px) == (9, 0.2)
    assert policy.mask_thresholds == {"def": 0.8, "ok": 1.0}
    with pytest.raises(ValueError, match="mm_per_px"):
        work.change_policy(inspector.loaded, mm_per_px=-1)


def test_regions_are_measured_once_for_a_policy(tmp_path: Path, monkeypatch) -> None:
    write_bundle(tmp_path, "severstal-strip", "unet")
    model = Inspector(load_bundle(tmp_path, "severstal-strip"), PIXELS)
    work = Work()
    work.queue("severstal-strip", [("a.png", encoded(strip_with()))])
    list(work.take_in("severstal-strip", LIMIT))
    list(work.inspect("severstal-strip", model))
    (result,) = work.results("severstal-strip", model.loaded.version)
    assert [r.area_px for r in work.regions(result, Policy())] == [4000, 900, 121, 9]
    assert len(work.regions(result, Policy(smallest_region_px=100))) == 3
    assert len(work.regions(result, Policy(mask_thresholds={"3": 1.0}))) == 3
    first = work.regions(result, Policy())
    monkeypatch.setattr(type(result.inspection), "regions", None)  # would fail if called
    scaled = work.regions(result, Policy(accept_below=0.1, mm_per_px=0.5))
    assert [r.area_mm2 for r in scaled] == [r.area_px / 4 for r in first]
    assert work.regions(result, Policy()) == first
    work.clear("severstal-strip")
    assert work.measured == {}


def test_a_policy_decides_the_counts_without_a_model(counting: Inspector) -> None:
    work = Work()
    work.queue("casting", [("a.png", casting(*GOOD)), ("b.png", casting(*CLEAR_DEFECT))])
    finish(work, counting)
    results = work.results("casting", counting.loaded.version)
    for low, high, expected in ((0.3, 0.7, (1, 0, 1)), (0, 1, (0, 2, 0)), (1, 1, (2, 0, 0))):
        counts = count_verdicts(results, Policy(accept_below=low, reject_above=high))
        assert tuple(counts[v] for v in Verdict) == expected
    assert counting.runtime.seen == 2


@pytest.mark.parametrize(
    ("name", "stem"),
    [("../../etc/passwd", "passwd"), ("<b>.png", "b"), ("日本.png", "image"), ("a b.png", "a_b")],
)
def test_download_names_are_harmless(name: str, stem: str) -> None:
    assert file_stem(name) == stem


def test_samples_are_offered_for_the_lines_that_can_be_drawn() -> None:
    for line in DRAWN_LINES:
        for label in LINES[line].class_names:
            assert min(draw(line, label, np.random.default_rng(0), 64).shape) >= 32


def test_gradients_name_what_is_missing(inspector: Inspector, monkeypatch) -> None:
    assert "model.safetensors" in why_no_gradients(inspector.loaded)
    monkeypatch.setattr("defectvision.web.inspect.explanation.find_spec", lambda name: None)
    assert "pip install -r requirements.txt" in why_no_gradients(inspector.loaded)


def test_weights_of_the_test_bundles_lie_where_settings_look(tmp_path: Path, monkeypatch) -> None:
    from defectvision.settings import Settings

    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(tmp_path))
    assert Settings().weights == tmp_path
    assert all(field.description for field in Settings.model_fields.values())
