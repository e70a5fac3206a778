"""A bundle that is damaged, changed or misplaced is refused with its file, reason and remedy."""

import hashlib
import json
import shutil

import onnx
import pytest

from defectvision.bundle.reader import (
    BundleError,
    Lines,
    find_lines,
    list_bundles,
    load_bundle,
    read_line,
)
from defectvision.inference.inspector import load_inspector
from defectvision.limits import Limits
from tests.stand_ins.bundles import write_bundle


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    write_bundle(folder, "casting", "resnet50")
    write_bundle(folder, "casting", "second")
    write_bundle(folder, "neu-surface", "resnet50")
    return folder


@pytest.fixture
def weights(written, tmp_path):
    """A copy that a test may harm."""
    return shutil.copytree(written, tmp_path / "weights")


def test_lines_and_bundles_are_listed_the_default_first(weights):
    lines = find_lines(weights)
    assert [line.name for line in lines.readable] == ["casting", "neu-surface"]
    assert [line.can_accept for line in lines.readable] == [True, False]
    assert lines.problems == {}
    assert list_bundles(weights / "casting") == ["resnet50", "second"]
    assert find_lines(weights / "nowhere") == Lines((), {})


@pytest.mark.parametrize("content", ["{", "", '{"name": "casting"}', "[1]"])
def test_a_broken_line_is_named_and_hides_no_other(weights, content):
    broken = weights / "casting" / "line.json"
    broken.write_text(content)
    lines = find_lines(weights)
    assert [line.name for line in lines.readable] == ["neu-surface"]
    (problem,) = lines.problems.values()
    assert str(broken) in problem
    assert "Export it again" in problem


def test_an_unknown_line_is_told_the_lines_that_can_be_read_though_one_is_broken(weights):
    (weights / "casting" / "line.json").write_text("{")
    with pytest.raises(BundleError, match="known are: neu-surface"):
        load_bundle(weights, "engine")


def test_default_bundle_is_loaded_and_has_a_version(weights):
    first, second = (load_bundle(weights, "casting", name) for name in (None, "second"))
    assert first.bundle.name == "resnet50"
    assert first.version != second.version
    assert load_bundle(weights, "casting").version == first.version


def _edit(file, **changes):
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, **changes}))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda f: (f / "model.onnx").unlink(), r"model\.onnx: is missing"),
        (lambda f: (f / "foreign.npz").write_bytes(b"x"), r"foreign\.npz: does not match the hash"),
        (lambda f: (f / "bundle.json").write_text("{"), r"bundle\.json: .*invalid"),
        (lambda f: _edit(f / "bundle.json", temperature=0), r"bundle\.json: temperature"),
        (lambda f: _edit(f / "bundle.json", surprise=1), r"bundle\.json: surprise"),
        (lambda f: _edit(f / "bundle.json", classes=["a", "b"]), "classes are not those of line"),
        (lambda f: _edit(f / "bundle.json", name="other"), "is bundle 'casting/other'"),
        (lambda f: _edit(f / "bundle.json", files={}), r"no hash of model\.onnx"),
        (
            lambda f: _edit(
                f / "bundle.json",
                files={
                    **json.loads((f / "bundle.json").read_text())["files"],
                    "../../line.json": "0",
                },
            ),
            "not a plain file name",
        ),
        (lambda f: _edit(f.parent / "line.json", name="steel"), "Rename the folder"),
        (lambda f: _edit(f.parent / "line.json", classes=[]), "classes"),
    ],
)
def test_what_is_wrong_is_named(weights, harm, said):
    harm(weights / "casting" / "resnet50")
    with pytest.raises(BundleError, match=f"(?i){said}"):
        load_bundle(weights, "casting")


def with_class(content: dict, **changes: str) -> dict:
    """The content of a line.json with another last class."""
    *others, last = content["classes"]
    return {"classes": [*others, {**last, **changes}]}


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        (lambda c: with_class(c, title="Pits and cracks", colour="#000000"), True),
        (lambda c: {"title": "Impellers"}, True),
        (lambda c: with_class(c, kind="ok"), False),
        (lambda c: {"label_mode": "multilabel"}, False),
        (lambda c: {"bits": 12}, False),
    ],
)
def test_a_version_covers_what_of_the_line_decides(weights, changes, same):
    file = weights / "casting" / "line.json"
    before = load_bundle(weights, "casting")
    _edit(file, **changes(json.loads(file.read_text())))
    after = load_bundle(weights, "casting")
    assert (after.version == before.version) == same
    assert after.earlier_version == before.earlier_version


def test_a_changed_line_is_noticed_while_serving(weights):
    file = weights / "casting" / "line.json"
    before = load_inspector(weights, "casting", None, Limits())
    content = json.loads(file.read_text())
    _edit(file, **with_class(content, kind="ok"))
    after = load_inspector(weights, "casting", None, Limits())
    assert after.line.defect_names == () and after.loaded.version != before.loaded.version
    _edit(file, **with_class(content, title="Pits"))
    assert load_inspector(weights, "casting", None, Limits()).line.title_of("def") == "Pits"


def test_weights_in_a_file_that_no_hash_covers_are_refused(weights):
    """Made as ONNX's own tools make it; its hash in bundle.json is right."""
    folder = weights / "casting" / "resnet50"
    model = onnx.load(folder / "model.onnx")
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, size_threshold=0,
              location="weights.bin")  # fmt: skip
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    files = json.loads((folder / "bundle.json").read_text())["files"]
    _edit(folder / "bundle.json", files={**files, "model.onnx": digest})
    with pytest.raises(BundleError, match="keeps weights in another file"):
        load_bundle(weights, "casting")


@pytest.mark.parametrize(
    ("line", "bundle", "said"),
    [
        ("engine", None, "known are: casting, neu-surface"),
        ("casting", "third", "it has: resnet50, second"),
        ("../casting", None, "cannot be the name"),
        ("casting", "../../etc", "cannot be the name"),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(weights, line, bundle, said):
    with pytest.raises(BundleError, match=said):
        load_bundle(weights, line, bundle)


def test_a_folder_without_line_json_is_said_to_be_so(tmp_path):
    with pytest.raises(BundleError, match=r"line\.json: cannot be read"):
        read_line(tmp_path)
