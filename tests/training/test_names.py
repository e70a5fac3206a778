"""Defects by name beside the memory of good parts: what either eye sees, and both together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from defectvision.bundle.reader import load_bundle
from defectvision.inference.farness import times_the_limit
from defectvision.inference.good_memory import GoodMemory
from defectvision.inference.inspector import Inspector
from defectvision.inference.preprocessing import prepare
from defectvision.inference.runtime import OnnxRuntime, OpenVinoRuntime
from defectvision.limits import PIXELS
from defectvision.models.trained import load_network
from defectvision.settings import ROOT
from defectvision.training.names import GOOD, Seen, compared, learn_names
from tests.training.test_good_parts import SIDE, plate, train, write

AXES = np.eye(12)


def parts(kind: int, number: int, distance: float, seed: int) -> Seen:
    """Parts of which the memory sees `distance`, and which lie along the axis of their
    kind, those of good ones about 0."""
    rng = np.random.default_rng(seed)
    centre = 0 if kind == GOOD else 3 * AXES[kind]
    return Seen(
        (rng.normal(0, 0.5, (number, 12)) + centre).astype(np.float32),
        rng.normal(distance, 1, number),
        np.full(number, kind),
        np.array([f"{kind}-{seed}-{n}" for n in range(number)]),
        np.arange(number) % 2,
        3,
    )


def together(*some: Seen) -> Seen:
    columns = ("shown", "distance", "kind", "parts", "folds")
    return Seen(*(np.concatenate([getattr(one, name) for one in some]) for name in columns), 3)


def test_the_head_names_what_is_known_and_the_memory_stops_what_is_not() -> None:
    """Of the first kind the memory sees nothing."""
    known = ((1, -4), (2, 3), (3, 3))
    seen = together(parts(GOOD, 60, -4, 0), *(parts(kind, 10, far, kind) for kind, far in known))
    names = learn_names(seen, seen.kind == GOOD)

    def said(asked: Seen) -> tuple[np.ndarray, np.ndarray]:
        odds = names.joint.log_odds(asked.distance, names.whole.log_odds(asked.shown))
        return odds.argmax(1), odds.max(1)

    for kind, far in known:
        named, surely = said(parts(kind, 20, far, 9))
        assert (named == kind).mean() > 0.9 and (surely > 0).mean() > 0.9
    unknown, surely = said(parts(7, 20, 3, 11))
    assert (unknown == 0).all() and (surely > 0).mean() > 0.9
    _, surely = said(parts(GOOD, 20, -4, 12))
    assert (surely < 0).mean() > 0.9


def test_what_the_head_knows_by_heart_alone_counts_for_nothing() -> None:
    """Features of chance: a head fits those that it learned from, and no others."""
    rng = np.random.default_rng(3)
    seen = together(parts(GOOD, 60, -4, 0), *(parts(kind, 8, -2, kind) for kind in (1, 2, 3)))
    noise = rng.normal(size=(len(seen.kind), 100)).astype(np.float32)
    seen = replace(seen, shown=noise)
    names = learn_names(seen, seen.kind == GOOD)
    found = compared(seen, names, 0.05)
    by_heart = names.whole.log_odds(noise).max(1)
    assert by_heart[seen.kind > GOOD].min() > by_heart[seen.kind == GOOD].max()
    assert found["auc/head"]["value"] < 0.75
    assert found["auc/memory"]["value"] > 0.85
    assert abs(found["auc/more than memory"]["value"]) < 0.05
    assert found["escapes/both"]["value"] < found["escapes/head"]["value"]
    learned = replace(seen, shown=np.eye(seen.kind.max() + 1, 100, dtype=np.float32)[seen.kind])
    found = compared(learned, learn_names(learned, seen.kind == GOOD), 0.05)
    none = found["escapes/head"]  # of 24 parts: no reason to promise that none ever will
    assert none["value"] == 0 and 0.1 < none["high"] < 0.2


KNOWN = {"scratch": {"scratched": True}, "stamp": {"kind": "stamped"}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A line of class folders: good plates, scratched and stamped ones, one without a name, and a
    file that is no picture."""
    root = tmp_path_factory.mktemp("named")
    write(root / "set" / "good", 24)
    for number, (name, how) in enumerate(KNOWN.items(), 1):
        write(root / "set" / name, 8, first=100 * number, **how)
    (root / "set" / "scratch" / "broken.png").write_bytes(b"no picture")
    text = (ROOT / "recipes" / "good_parts_named.yaml").read_text()
    usual, quick = "vectors: 1000, longest_side: 320", "vectors: 300, folds: 3, longest_side: 192"
    assert usual in text
    (root / "recipe.yaml").write_text(text.replace(usual, quick))
    result = train(root / "set", root, "--recipe", str(root / "recipe.yaml"))
    assert result.exit_code == 1, result.output
    (found,) = (json.loads(line) for line in result.stdout.splitlines() if line.startswith("{"))
    (root / "found.json").write_text(json.dumps(found))
    return root


@pytest.mark.slow
def test_a_line_names_what_it_knows_and_stops_what_it_has_never_seen(trained) -> None:
    loaded = load_bundle(trained / "weights", "plates")
    line, inspector = loaded.line, Inspector(loaded, PIXELS)
    assert line.class_names == ("ok", "scratch", "stamp", "deviation")
    assert loaded.bundle.mask_classes == ("deviation",)
    policy = inspector.policy
    said = {}
    for name, how in {**KNOWN, "unseen": {"kind": "other"}, "ok": {}}.items():
        pictures = [plate(seed, **how) for seed in range(500, 508)]
        data = [cv2.imencode(".png", picture)[1].tobytes() for picture in pictures]
        found = [inspector.inspect(one, f"{name}.png") for one in data]
        said[name] = [one.labels(policy)[0] for one in found]
        accepted = [one.verdict(policy) == "accept" for one in found]
        assert sum(accepted) >= 6 if name == "ok" else not any(accepted), name
    for name in KNOWN:
        assert said[name].count(name) >= 7
    assert said["unseen"].count("deviation") >= 7
    far = times_the_limit(found[0], loaded.bundle, policy)
    assert far is not None and 0 < far < 1.5


@pytest.mark.slow
def test_what_is_told_of_it_comes_from_parts_it_has_not_learned_from(trained) -> None:
    loaded = load_bundle(trained / "weights", "plates")
    found = json.loads((trained / "found.json").read_text())
    assert found["images"] == 24 + 2 * 8
    assert found["metrics"]["accuracy"]["value"] > 0.8
    told = loaded.bundle.provenance["names"]
    assert {"auc/both", "auc/memory", "auc/head", "unknown/both"} <= set(told)
    assert told["unknown/both"]["value"] < told["unknown/head"]["value"]
    assert "Learned from good parts and defects by name" in loaded.bundle.caution
    assert "of a kind that was left out of learning" in loaded.bundle.caution
    said = json.loads((trained / "run" / "result.json").read_text())
    assert "broken.png" in said["left_out"][0]
    seen = (loaded.folder / "trained_on.txt").read_text().split()
    assert len(seen) == 24 + 2 * 8
    memory, marked = GoodMemory(loaded), plate(500, scratched=True)
    looked = memory.look(cv2.imencode(".png", marked)[1].tobytes(), "a.png", PIXELS)
    y, x = np.nonzero(np.abs(marked.astype(int) - plate(500)) > 40)
    at = memory.farthest(looked).at * SIDE
    assert np.hypot(x - at[0], y - at[1]).min() < 16


@pytest.mark.slow
@pytest.mark.parametrize("runtime", [OpenVinoRuntime, OnnxRuntime])
def test_what_serves_it_answers_as_torch_does(trained, runtime) -> None:
    loaded = load_bundle(trained / "weights", "plates")
    served = Inspector(loaded, PIXELS, runtime(loaded.folder / "model.onnx"))
    tensor, _ = prepare(plate(700, scratched=True), loaded.bundle.preprocessing)
    data = cv2.imencode(".png", plate(700, scratched=True))[1].tobytes()
    with torch.inference_mode():
        wanted = load_network(loaded)(torch.from_numpy(tensor)[None]).logits[0].numpy()
    found = served.inspect(data, "a.png")
    assert np.abs(wanted - found.logits).max() < 0.05
    total = found.evidence.mean((1, 2)) + found.evidence_bias
    assert np.abs(total - found.logits).max() < 1e-3


@pytest.mark.slow
def test_sets_that_cannot_be_named_are_refused(trained, tmp_path) -> None:
    write(tmp_path / "other" / "good", 6)
    write(tmp_path / "other" / "dent", 3, first=50, kind="other")
    for line, words in (
        ("plates", "has the defects dent, but line 'plates' has ok, scratch, stamp, deviation"),
        ("new", "3 parts show dent among the images to learn from"),
    ):
        options = ("--recipe", "good_parts_named", "--weights", str(trained / "weights"))
        result = train(tmp_path / "other", tmp_path, *options, line=line)
        assert result.exit_code == 2
        assert words in " ".join(result.stderr.split())
    good = tmp_path / "good"
    write(good, 6)
    result = train(good, tmp_path, "--recipe", "good_parts_named")
    assert "no image shows a defect with a name" in " ".join(result.stderr.split())
