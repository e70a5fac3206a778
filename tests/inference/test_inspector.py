"""The inspector, on a small model of fixed filters."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.reader import load_bundle
from defectvision.data.synthetic.samples import draw
from defectvision.inference import inspector as inspector_module
from defectvision.inference.images import ImageError
from defectvision.inference.inspector import AHEAD, Inspector, inspector_of
from defectvision.inference.preprocessing import read_image
from defectvision.inference.runtime import OnnxRuntime, OpenVinoRuntime
from defectvision.limits import PIXELS, Limits
from tests.stand_ins.bundles import write_bundle


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    write_bundle(folder, "casting", "resnet50")
    write_bundle(folder, "neu-surface", "resnet50")
    return folder


@pytest.fixture(scope="module")
def inspector(weights):
    return Inspector(load_bundle(weights, "casting"), PIXELS)


def _png(label, seed, line="casting", size=300):
    image = draw(line, label, np.random.default_rng(seed), size)
    return cv2.imencode(".png", image)[1].tobytes()


def test_evidence_adds_up_to_the_logits(inspector):
    found = inspector.inspect(_png("def", 1), "part.png")
    total = found.evidence.mean((1, 2)) + found.evidence_bias
    assert np.abs(total - found.logits).max() < 1e-3
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found.defect_score == pytest.approx(found.probabilities["def"])
    assert found.image_size == (300, 300)
    assert found.evidence_on_image("def").shape == (300, 300)
    assert 0 <= found.evidence_inside("def") <= 1


def test_one_bad_image_never_spoils_a_batch(inspector):
    good = [(f"{i}.png", _png("ok", i)) for i in range(5)]
    mixed = [*good[:2], ("broken.png", good[0][1][:100]), *good[2:], ("text.png", b"hello")]
    found = list(inspector.inspect_many(mixed))
    assert [f.name for f in found] == [name for name, _ in mixed]
    assert [isinstance(f, ImageError) for f in found] == [0, 0, 1, 0, 0, 0, 1]
    alone = [inspector.inspect(data, name) for name, data in good]
    batch = [f for f in found if not isinstance(f, ImageError)]
    for a, b in zip(alone, batch, strict=True):
        assert np.abs(a.logits - b.logits).max() < 1e-4


def test_only_broken_images_give_only_errors(inspector):
    found = list(inspector.inspect_many([("a", b""), ("b", b"x" * 50)]))
    assert all(isinstance(f, ImageError) for f in found)
    assert list(inspector.inspect_many([])) == []
    with pytest.raises(ImageError):
        inspector.inspect(b"", "a")


def test_verdict_and_json_are_functions_of_the_policy(inspector):
    found = inspector.inspect(_png("def", 3), "part.png")
    score = found.defect_score
    strict = Policy(accept_below=0.0, reject_above=score)
    lenient = Policy(accept_below=1.0, reject_above=1.0)
    assert found.verdict(strict) is Verdict.REJECT
    assert found.labels(strict) == ("def",)
    assert found.verdict(lenient) is Verdict.ACCEPT
    assert found.labels(lenient) == ("ok",)
    content = found.as_json(lenient)
    assert content["verdict"] == "accept"
    assert content["policy"] == lenient.model_dump()
    assert set(content["milliseconds"]) == {"decode", "model", "total"}
    assert [row["name"] for row in content["labels"]] == ["def", "ok"] or score < 0.5


def test_a_line_without_a_good_class_never_accepts(weights):
    inspector = Inspector(load_bundle(weights, "neu-surface"), PIXELS)
    found = inspector.inspect(_png("scratches", 0, "neu-surface", 200), "strip.png")
    assert found.defect_score is None
    assert found.verdict(Policy(accept_below=1, reject_above=1)) is not Verdict.ACCEPT


def test_an_image_of_something_else_goes_to_review(inspector):
    noise = np.random.default_rng(0).integers(0, 256, (300, 300)).astype(np.uint8)
    found = inspector.inspect(cv2.imencode(".png", noise)[1].tobytes(), "noise.png")
    assert found.foreign_score > 1
    assert found.verdict(Policy(accept_below=1, reject_above=1)) is Verdict.REVIEW


def test_both_runtimes_give_the_same_answers(weights):
    loaded = load_bundle(weights, "casting")
    data = _png("def", 4)
    file = loaded.folder / "model.onnx"
    a, b = (
        Inspector(loaded, PIXELS, runtime(file)).inspect(data, "x.png")
        for runtime in (OpenVinoRuntime, OnnxRuntime)
    )
    assert np.abs(a.logits - b.logits).max() < 1e-3
    assert np.abs(a.evidence - b.evidence).max() < 1e-2


@pytest.mark.slow
def test_many_threads_share_one_inspector(inspector):
    files = [(f"{i}.png", _png("def" if i % 2 else "ok", i)) for i in range(12)]
    wanted = [inspector.inspect(data, name).logits for name, data in files]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            found = list(pool.map(lambda f: inspector.inspect(f[1], f[0]).logits, files))
            assert all(np.array_equal(a, b) for a, b in zip(wanted, found, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("runtime", [OpenVinoRuntime, OnnxRuntime])
def test_side_by_side_and_alone_give_the_same_answers(weights, runtime):
    """Whether all cores work on an image or one, at most rounding tells."""
    loaded = load_bundle(weights, "casting")
    model = Inspector(loaded, PIXELS, runtime(loaded.folder / "model.onnx"))
    files = [(f"{i}.png", _png("def" if i % 2 else "ok", i)) for i in range(12)]
    for found, (name, data) in zip(model.inspect_many(files), files, strict=True):
        alone = model.inspect(data, name)
        assert found.name == name
        assert np.abs(found.logits - alone.logits).max() < 1e-4
        assert np.abs(found.evidence - alone.evidence).max() < 1e-4


def test_reading_stays_a_few_images_ahead(inspector):
    read = []

    def files():
        for i in range(100):
            read.append(i)
            yield f"{i}.png", _png("ok", 1)

    found = inspector.inspect_many(files())
    for taken in range(1, 4):
        next(found)
        assert len(read) <= taken + AHEAD * inspector.runtime.workers
    found.close()
    assert len(read) < 100


@pytest.mark.parametrize(("side", "reduction"), [(448, 1), (900, 2), (1801, 4), (3600, 8)])
def test_a_large_jpeg_is_decoded_smaller_and_measured_in_its_own_px(weights, side, reduction):
    model = Inspector(load_bundle(weights, "neu-surface"), PIXELS)
    image = draw("neu-surface", "scratches", np.random.default_rng(0), 200)
    image = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    jpeg, png = (
        model.inspect(cv2.imencode(kind, image, quality)[1].tobytes(), "strip")
        for kind, quality in ((".jpg", [cv2.IMWRITE_JPEG_QUALITY, 100]), (".png", []))
    )
    data = cv2.imencode(".jpg", image)[1].tobytes()
    pixels, size = read_image(data, "strip", model.loaded.bundle.preprocessing, PIXELS, None)
    assert (pixels.shape[0], size) == (-(-side // reduction), (side, side))
    assert jpeg.image_size == png.image_size == (side, side)
    names = model.line.class_names
    assert [jpeg.probabilities[n] for n in names] == pytest.approx(
        [png.probabilities[n] for n in names], abs=0.05
    )
    # the frame lies on the same px of the image
    np.testing.assert_allclose(jpeg.frame.to_image, png.frame.to_image, atol=1e-6)
    assert jpeg.evidence_on_image(names[0]).shape == (side, side)


def test_models_that_nobody_asked_for_are_let_go(weights, monkeypatch):
    monkeypatch.setattr(inspector_module, "_inspectors", {})
    casting, neu = (load_bundle(weights, line) for line in ("casting", "neu-surface"))
    roomy, tight = Limits(), Limits(model_bytes=1_000_000)
    kept = inspector_of(casting, roomy)
    assert inspector_of(neu, roomy) is not kept
    assert inspector_of(casting, roomy) is kept  # there is room for both
    monkeypatch.setattr(kept, "memory_bytes", 600_000)
    monkeypatch.setattr(inspector_of(neu, roomy), "memory_bytes", 600_000)
    last = inspector_of(neu, tight)
    assert inspector_of(neu, tight) is last
    assert inspector_of(casting, tight) is not kept


def test_inference_needs_no_torch():
    code = (
        "import sys, defectvision.inference, defectvision.inference.inspector;"
        "assert 'torch' not in sys.modules and 'streamlit' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("turn", range(3))
def test_the_first_questions_may_come_at_once(weights, turn):
    """OpenVINO's Python package, set up by two threads at once, answered neither of them."""
    code = (
        "import sys, numpy as np, threading; from pathlib import Path;"
        "from defectvision.inference.runtime import OpenVinoRuntime;"
        "model = OpenVinoRuntime(Path(sys.argv[1])); both = threading.Barrier(2);"
        "image = np.zeros((1, 1, int(sys.argv[2]), int(sys.argv[2])), np.float32);"
        "ask = lambda: (both.wait(), model.run(image, alone=False));"
        "from concurrent.futures import ThreadPoolExecutor; pool = ThreadPoolExecutor(2);"
        "[answer.result() for answer in [pool.submit(ask), pool.submit(ask)]]"
    )
    loaded = load_bundle(weights, "casting")
    side = str(loaded.bundle.preprocessing.height)
    command = [sys.executable, "-c", code, str(loaded.folder / "model.onnx"), side]
    subprocess.run(command, check=True, timeout=60)
