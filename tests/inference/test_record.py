"""A record holds all that the model answered."""

from __future__ import annotations

import io
import json
import zlib
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import load_bundle
from defectvision.inference.gate import Objection
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import Inspector
from defectvision.inference.record import RecordError, read_record, write_record
from defectvision.limits import PIXELS
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting
from tests.stand_ins.strips import encoded, strip_with


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Inspection]:
    folder: Path = tmp_path_factory.mktemp("weights")
    pictures = {
        ("casting", "resnet50"): casting("def", 105),
        ("severstal-strip", "unet"): encoded(strip_with()),
    }
    inspections = {}
    for (line, bundle), data in pictures.items():
        write_bundle(folder, line, bundle)
        inspections[line] = Inspector(load_bundle(folder, line), PIXELS).inspect(data, "a.png")
    return inspections


@pytest.mark.parametrize("line", ["casting", "severstal-strip"])
def test_what_was_written_is_read(found, line: str) -> None:
    one = found[line]
    back = read_record(write_record(one), one.line, "a.png")
    written, again = ({**vars(each), **vars(each.frame)} for each in (one, back))
    assert set(written) >= {field.name for field in fields(Inspection)}
    for name in written.keys() - {"frame"}:
        wanted, read = written[name], again[name]
        if isinstance(wanted, np.ndarray):
            assert wanted.dtype == read.dtype and np.array_equal(wanted, read), name
        else:
            assert wanted == read, name
    policy = Policy(smallest_region_px=20)
    assert back.regions(policy) == one.regions(policy)
    assert np.array_equal(
        back.evidence_on_image(back.main_class(policy)),
        one.evidence_on_image(one.main_class(policy)),
    )


def test_the_same_answer_gives_the_same_bytes(found) -> None:
    one = found["casting"]
    assert write_record(one) == write_record(replace(one, name="other.png"))


def test_a_record_of_other_classes_is_refused(found) -> None:
    data = write_record(found["casting"])
    with pytest.raises(RecordError, match=r"a\.png: was inspected for other classes"):
        read_record(data, found["severstal-strip"].line, "a.png")


@pytest.mark.parametrize(("score", "kinds"), [(0.5, []), (1.0, []), (1.2, ["unlike"])])
def test_a_record_from_before_there_were_objections_has_its_foreign_score(
    found, score: float, kinds: list[str]
) -> None:
    one = replace(found["casting"], foreign_score=score, objections=())
    with np.load(io.BytesIO(zlib.decompress(write_record(one)))) as file:
        arrays = dict(file)
    about = json.loads(arrays["about"].tobytes())
    del about["objections"]
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    earlier = io.BytesIO()
    np.savez(earlier, **arrays)
    back = read_record(zlib.compress(earlier.getvalue()), one.line, "a.png")
    assert [objection.kind for objection in back.objections] == kinds


def test_a_record_keeps_what_the_gate_objects_to(found) -> None:
    objections = (Objection("unlike", "unlike this line"), Objection("quality", "too dark"))
    one = replace(found["casting"], objections=objections)
    assert read_record(write_record(one), one.line, "a.png").objections == objections


@given(at=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
def test_damaged_bytes_are_a_clear_error(found, at: float, byte: int, cut: bool) -> None:
    data = bytearray(write_record(found["casting"]))
    place = int(at * (len(data) - 1))
    if cut:
        del data[place:]
    elif data[place] == byte:
        return
    else:
        data[place] = byte
    try:
        read_record(bytes(data), found["casting"].line, "a.png")
    except RecordError as error:
        assert "a.png" in str(error) and "Inspect it again" in str(error)
