"""Whatever line.json, bundle.json, signature.json or a policy hold, they are read or refused in
words: the card of the Lines page can be drawn of all that is read."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy, check_fits, in_words
from defectvision.bundle.reader import BundleError, find_lines, load_bundle
from defectvision.web.lines.card import class_rows, identity, metric_rows, provenance
from tests.stand_ins.bundles import LINES, write_bundle

LEAF = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["ok", "def", "casting", "model.onnx", "../x", "\0", "#ffffff", "\ud800"])
)
JUNK = st.recursive(
    LEAF,
    lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(max_size=8), x, max_size=3),
    max_leaves=6,
)


def paths(content: Any, at: tuple = ()) -> list[tuple]:
    """The place of everything in a JSON value."""
    inner = content.items() if isinstance(content, dict) else (
        enumerate(content) if isinstance(content, list) else ()
    )  # fmt: skip
    return [at, *(path for key, value in inner for path in paths(value, (*at, key)))]


@st.composite
def changed(draw: st.DrawFn, content: dict[str, Any]) -> Any:
    """`content` with one or two of its values replaced, removed or joined by others."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(paths(content)[1:] or [()]))
        if not path:
            return draw(JUNK)
        holder = content
        for key in path[:-1]:
            holder = holder[key]
        match draw(st.sampled_from(["other", "other", "gone", "more"])):
            case "other":
                holder[path[-1]] = draw(JUNK)
            case "gone":
                del holder[path[-1]]
            case "more" if isinstance(holder, dict):
                holder[draw(st.text(max_size=8))] = draw(JUNK)
    return content


def written(content: Any) -> bytes:
    return json.dumps(content).encode(errors="surrogatepass")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_bundle(folder, "casting", "resnet50")
    return folder


def read_or_refused(weights: Path, file: Path, content: bytes) -> None:
    before = file.read_bytes() if file.is_file() else None
    file.write_bytes(content)
    try:
        listed = find_lines(weights)
        assert len(listed.readable) + len(listed.problems) == 1
        loaded = load_bundle(weights, "casting", "resnet50")
    except BundleError as error:
        assert str(error)
    else:
        assert identity(loaded)
        assert provenance(loaded.bundle.provenance)
        assert isinstance(loaded.bundle.caution, str)
        for metrics in loaded.bundle.metrics:
            assert metric_rows(metrics.values)
            class_rows(metrics.values)
    finally:
        if before is None:
            file.unlink()
        else:
            file.write_bytes(before)


@given(data=st.data())
def test_a_line_of_any_content(weights: Path, data: st.DataObject) -> None:
    file = weights / "casting" / "line.json"
    content = changed(json.loads(file.read_bytes())).map(written) | st.binary(max_size=60)
    read_or_refused(weights, file, data.draw(content))


@given(data=st.data())
def test_a_bundle_of_any_content(weights: Path, data: st.DataObject) -> None:
    file = weights / "casting" / "resnet50" / "bundle.json"
    content = changed(json.loads(file.read_bytes())).map(written) | st.binary(max_size=60)
    read_or_refused(weights, file, data.draw(content))


PROVENANCE = st.dictionaries(
    st.sampled_from(["data", "sources", "photo_groups", "recipe", "defectvision", "images"]),
    JUNK
    | st.lists(st.dictionaries(st.sampled_from(["name", "licence", "source"]), JUNK), max_size=2)
    | st.dictionaries(st.sampled_from(["caution", "name", "split", "epochs"]), JUNK),
)


@given(provenance=PROVENANCE)
def test_a_provenance_of_any_content(weights: Path, provenance: dict[str, Any]) -> None:
    file = weights / "casting" / "resnet50" / "bundle.json"
    content = json.loads(file.read_bytes()) | {"provenance": provenance}
    read_or_refused(weights, file, written(content))


@given(content=st.binary(max_size=60) | JUNK.map(written))
def test_a_signature_of_any_content(weights: Path, content: bytes) -> None:
    read_or_refused(weights, weights / "casting" / "resnet50" / "signature.json", content)


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 90 + b"]" * 90])
@pytest.mark.parametrize("name", ["line.json", "resnet50/bundle.json", "resnet50/signature.json"])
def test_what_is_nested_too_deep_is_refused(weights: Path, name: str, deep: bytes) -> None:
    read_or_refused(weights, weights / "casting" / name, deep)


POLICY = {
    "accept_below": 0.2, "reject_above": 0.7, "class_thresholds": {"def": 0.4},
    "mask_thresholds": {"def": 0.4}, "smallest_region_px": 9, "mm_per_px": 0.1,
    "zones": [{"name": "rim", "corners": [[0, 0], [1, 0], [1, 1]], "ignored": False}],
    "rules": [{"then": "reject", "class_name": "def", "measure": "length", "over": 2.0,
               "unit": "mm", "at_least": 1, "zone": "rim"}],
}  # fmt: skip


@given(changed(POLICY))
def test_a_policy_of_any_content(content: Any) -> None:
    try:
        policy = Policy.model_validate_json(written(content))
    except ValidationError:
        return
    line = LINES["casting"]
    assert in_words(policy, line, ("def",))
    assert Policy.model_validate_json(policy.model_dump_json()) == policy
    for score in (None, 0.0, 0.5, 1.0):
        policy.zone(score)
    try:
        check_fits(policy, line, ("def",))
    except ValueError as error:
        assert str(error)


@given(st.lists(st.sampled_from(["ok", "def", "ok ", "", "\ud800", "a" * 99]), max_size=4))
def test_classes_of_any_names(names: list[str]) -> None:
    classes = [{"name": n, "title": n, "kind": "ok", "colour": "#000000"} for n in names]
    try:
        line = Line.model_validate(
            {"name": "x", "title": "x", "classes": classes, "default_bundle": "y"}
        )
    except ValidationError:
        return
    assert len(set(line.class_names)) == len(line.class_names)
