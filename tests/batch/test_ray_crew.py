"""A lot on a Ray cluster: the rows of the plain loop, each image once whatever is lost."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from defectvision.batch import inspecting
from defectvision.batch.crew import CrewOf
from defectvision.batch.ray_crew import Remote, Work, ray_crews
from defectvision.batch.watch import AwayError
from defectvision.cli.main import app
from defectvision.inference.record import read_record
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.store import batches
from defectvision.store.batches import Engine, State
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.rows import ANSWER
from defectvision.store.tables import InspectionRow
from tests.stand_ins.bundles import LINES
from tests.stand_ins.castings import casting
from tests.stand_ins.claimed_batches import Place, counts
from tests.stand_ins.ray_lots import DONE, IMAGES, count_written, lot, start, together, work

SAID = (*ANSWER, "name", "path", "state", "digest", "stored", "reason", "remedy", "tries")
OF_THE_RUN = {"milliseconds", "record"}  # the record has the milliseconds in it


@pytest.fixture(scope="module")
def crew_of() -> Iterator[CrewOf]:
    """Of a cluster of this machine alone."""
    pytest.importorskip("ray", reason="Ray is not installed: requirements-ray.txt")
    with ray_crews("", Limits()) as crews:
        yield crews


def said(store: Store, number: int) -> list[dict]:
    """What the rows of a batch say, in their order."""
    with store.reading() as session:
        wanted = select(InspectionRow).where(InspectionRow.batch_id == number)
        rows = list(session.scalars(wanted.order_by(InspectionRow.id)))
    names = {row.id: row.name for row in rows}
    found = []
    for row in rows:
        content = {name: getattr(row, name) for name in SAID if name not in OF_THE_RUN}
        content["same_as"] = names.get(row.same_as)
        if row.record:
            answer = read_record(store.files.get(row.record), LINES["casting"], row.name)
            content["logits"] = answer.logits.tobytes()
            content["evidence"] = answer.evidence.tobytes()
        found.append(content)
    return found


@pytest.mark.slow
def test_the_rows_are_those_of_the_plain_loop_bit_for_bit(
    crew_of, weights, tmp_path, monkeypatch
) -> None:
    together(monkeypatch, 5)
    folder, found = lot(tmp_path / "lot"), {}
    for engine in Engine:
        store = Place(tmp_path / engine, "").open()
        number = start(store, weights, folder, engine)
        work(store, weights, number, crew_of if engine == Engine.RAY else None)
        assert counts(store, number) == DONE
        found[engine] = said(store, number)
    assert found["ray"] == found["local"]


@pytest.mark.slow
def test_a_lot_is_paused_and_resumed_and_no_other_worker_takes_it(
    crew_of, weights, tmp_path, monkeypatch
) -> None:
    together(monkeypatch, 2)
    store = Place(tmp_path, "").open()
    number = start(store, weights, lot(tmp_path / "lot"), Engine.RAY)
    written = count_written(monkeypatch)
    with store.reading() as session:
        assert batches.active_batches(session, Engine.LOCAL) == []
        assert batches.active_batches(session, Engine.RAY) == [number]

    hand_out = inspecting.Inspecting._hand_out

    def pause(self: inspecting.Inspecting) -> bool:
        if len(written) >= 6:
            with store.session() as session:
                batches.move(session, number, State.PAUSED, unproven("ada"))
        return hand_out(self)

    with monkeypatch.context() as paused:
        paused.setattr(inspecting.Inspecting, "_hand_out", pause)
        work(store, weights, number, crew_of)
    assert 6 <= counts(store, number).done < IMAGES - 10
    with store.session() as session:
        batches.move(session, number, State.RUNNING, unproven("ada"))
    work(store, weights, number, crew_of)
    assert counts(store, number) == DONE
    assert set(written.values()) == {1} and len(written) == IMAGES


def test_a_machine_with_other_files_or_another_version_says_so(weights, tmp_path) -> None:
    store = Place(tmp_path, "").open()
    (tmp_path / "part.png").write_bytes(casting("ok", 3))
    number = start(store, weights, tmp_path / "part.png", Engine.RAY)
    with store.reading() as session:
        what = Work(batches.get_batch(session, number), store.files.url, Limits())
    with pytest.raises(StoreError, match=r"holds other files on .* set DEFECTVISION_FILES"):
        Remote().prepare(0, what, b"")
    with pytest.raises(AwayError, match=r"has version .* with 0\.0\.1\. Install the same"):
        Remote().prepare(0, replace(what, program="0.0.1"), b"")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--engine", "ray"], "Ray is not installed. Install it .* requirements-ray.txt"),
        (["--address", "ray://plant:10001"], "say --engine ray, too"),
    ],
)
def test_what_ray_needs_is_said(weights, tmp_path, monkeypatch, options, words) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "part.png").write_bytes(casting("ok", 3))
    given = ["batch", tmp_path / "part.png", "--line", "casting", "--weights", weights]
    given += ["--out", tmp_path / "found.csv", *options]
    said = CliRunner().invoke(app, list(map(str, given)))
    assert said.exit_code == 2 and re.search(words, said.output), said.output
