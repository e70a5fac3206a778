"""A gate learns its line from known images, and its limits and figures from others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from defectvision.bundle.reader import load_bundle
from defectvision.bundle.schema import OWN, Gate
from defectvision.bundle.writer import record_gate
from defectvision.evaluation import gate as gates
from defectvision.evaluation.gate import GateError, learn, limits, measure_gate, stopped
from defectvision.evaluation.gate_images import STRUCTURELESS, Sight
from defectvision.inference.gate import Gatekeeper, Learned, Seen
from defectvision.inference.inspector import Inspector
from defectvision.inference.picture_statistics import PictureStatistics
from defectvision.limits import PIXELS
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting

FEATURES = 6


def seen(rng: np.random.Generator, away: float = 0.0, **picture: float) -> Seen:
    """Features about 0, shifted by `away` in all; the picture is a usual one but for `picture`."""
    usual = PictureStatistics(
        *(120 + rng.normal(0, 5), 50 + rng.normal(), 0.0, 0.0, -1 + 0.1 * rng.normal(), 1.0),
        rng.normal(away, 1, FEATURES),
    )
    return Seen(True, None, replace(usual, **picture), rng.normal(away, 1, 2), 1.0)


def sights(rng: np.random.Generator) -> list[Sight]:
    found = [Sight(OWN, "", True, seen(rng)) for _ in range(300)]
    found += [Sight(OWN, str(i // 2), False, seen(rng)) for i in range(400)]
    for kind, away in (("set far", 9.0), ("set near", 2.5)):
        found += [Sight(kind, str(i), i % 2 == 0, seen(rng, away)) for i in range(200)]
    nothing = replace(seen(rng), structure=False)
    return [*found, *(Sight(STRUCTURELESS, str(i), False, nothing) for i in range(9))]


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Gatekeeper:
    weights = tmp_path_factory.mktemp("weights")
    write_bundle(weights, "neu-surface", "old")
    loaded = load_bundle(weights, "neu-surface", "old")
    return Gatekeeper.of(loaded.folder, loaded.bundle)


def test_what_is_far_off_is_stopped_and_little_else(keeper: Gatekeeper) -> None:
    rates = measure_gate(keeper, sights(np.random.default_rng(0)), "400 drawn").gate.rates
    assert list(rates) == [OWN, "set far", "set near", STRUCTURELESS]
    assert (rates[OWN].images, rates[OWN].groups, rates["set far"].images) == (400, 200, 100)
    assert rates[OWN].review.value < 0.03
    assert rates["set far"].review.value == rates[STRUCTURELESS].review.value == 1
    assert rates["set far"].unknown.value == 1, "by distance, as nothing of it was learned"
    assert rates["set near"].unknown.value <= rates["set near"].review.value
    for rate in rates.values():
        assert 0 <= rate.review.low <= rate.review.value <= rate.review.high <= 1


def test_measured_images_teach_nothing(keeper: Gatekeeper) -> None:
    known = [s for s in sights(np.random.default_rng(0)) if s.known]
    rng = np.random.default_rng(1)
    tried = [Sight(kind, "x", False, seen(rng, 40)) for kind in (OWN, "set far", "other")]
    for name, values in learn([*known, *tried]).items():
        assert np.array_equal(values, learn(known)[name]), name


def test_foreign_images_set_no_limit() -> None:
    found = sights(np.random.default_rng(0))
    learned = Learned(learn(found))
    own = [s for s in found if s.kind == OWN and not s.known]
    gate = limits(learned, own)
    assert gate.clipped == gate.dark == 0.01 and gate.scale == pytest.approx(np.exp(-0.2))
    pictures = [s.seen.statistics for s in own]
    assert gate.darkest < min(p.level for p in pictures)
    assert max(p.level for p in pictures) < gate.brightest


def test_false_alarms_are_of_groups_that_set_no_limit(keeper: Gatekeeper) -> None:
    """One dark photograph cannot make itself the limit."""
    rng = np.random.default_rng(0)
    found = [s for s in sights(rng) if s.kind == OWN]
    found += [Sight(OWN, "dark", False, seen(rng, level=5.0)) for _ in range(2)]
    measured = measure_gate(keeper, found, "drawn")
    own = [s for s in found if not s.known]
    complete = gates.with_gate(keeper, measured.gate, measured.arrays)
    assert not stopped(complete, own[-2:]).any()
    assert measured.gate.rates[OWN].review.value >= 2 / len(own)


def test_too_few_images_are_refused(keeper: Gatekeeper) -> None:
    found = [s for s in sights(np.random.default_rng(0)) if s.known]
    with pytest.raises(GateError, match=r"0 images of the line are left.*--more"):
        measure_gate(keeper, found, "")


@pytest.mark.slow
def test_a_gate_is_written_into_a_bundle_whose_model_stays(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, "casting", "old")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    inspector = Inspector(load_bundle(tmp_path, "casting", "old"), PIXELS)
    plain = inspector.inspect(casting("ok", 3), "a.png")
    images = [inspector.look(casting("ok", 100 + i), "a.png") for i in range(60)]
    own = [Sight(OWN, str(i), i < 30, one) for i, one in enumerate(images)]
    made = measure_gate(inspector.gatekeeper, own, "30 drawn ones")
    content = gates.file_of(made.arrays)
    assert content == gates.file_of(made.arrays)
    record_gate(folder, made.gate, content)
    after = {file.name: file.read_bytes() for file in folder.iterdir()}
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"bundle.json", "README.md", "gate.npz"}
    assert "30 drawn ones" in after["README.md"].decode()
    loaded = load_bundle(tmp_path, "casting", "old")
    assert isinstance(loaded.bundle.gate, Gate)
    found = Inspector(loaded, PIXELS).inspect(casting("ok", 3), "a.png")
    assert np.array_equal(found.logits, plain.logits)
    assert found.probabilities == plain.probabilities
