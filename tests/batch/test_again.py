"""A batch inspected again with another bundle: the same images, and the first batch as it was."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from defectvision.batch.again import start_batch_again, to_be_had
from defectvision.batch.runner import work_on
from defectvision.batch.sources import SourceError, folder_source, upload_source
from defectvision.bundle.reader import load_bundle
from defectvision.cli.main import app
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.store import batches
from defectvision.store.batches import State
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.sources import Folder, Source
from defectvision.store.tables import AuditRow, ImageState, InspectionRow
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting

ADA = unproven("ada")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_bundle(folder, "casting", "resnet50")
    write_bundle(folder, "casting", "weaker", gain=0.3)
    write_bundle(folder, "neu-surface", "resnet50")
    return folder


def lot(folder: Path) -> Path:
    folder.mkdir()
    for i in range(4):
        (folder / f"ok_{i}.png").write_bytes(casting("ok", 100 + i))
        (folder / f"def_{i}.png").write_bytes(casting("def", 100 + i))
    (folder / "bad.png").write_bytes(b"no image")
    return folder


def inspected(store: Store, weights: Path, source: Source, keep: str) -> int:
    with store.session() as session:
        loaded = load_bundle(weights, "casting", "resnet50")
        number = batches.add_batch(session, loaded, source, "lot 7", ADA, keep).id
    work_on(store, weights, Limits(), number, Event())
    return number


def again(store: Store, weights: Path, number: int, roots: list[Path] | None) -> int:
    weaker = load_bundle(weights, "casting", "weaker")
    made = start_batch_again(store, weaker, number, roots, ADA).id
    work_on(store, weights, Limits(), made, Event())
    return made


def rows_of(store: Store, number: int) -> dict[str, dict]:
    with store.reading() as session:
        wanted = select(InspectionRow).where(InspectionRow.batch_id == number)
        return {
            row.name: {k: v for k, v in vars(row).items() if k[0] != "_"}
            for row in session.scalars(wanted)
        }


def test_what_was_not_kept_is_read_where_it_still_is_the_same(store, weights, tmp_path) -> None:
    """keep 'defects': the accepted ones are in their folder alone."""
    folder = lot(tmp_path / "lot")
    first = inspected(store, weights, folder_source(folder, None), "defects")
    before = rows_of(store, first)
    accepted = sorted(name for name, row in before.items() if not row["stored"])
    assert "bad.png" in accepted and len(accepted) > 3
    left, gone, other = [folder / name for name in accepted if name != "bad.png"][:3]
    left.touch()  # written anew with the same content
    gone.unlink()
    other.write_bytes(casting("ok", 7))
    kept = next(name for name, row in before.items() if row["stored"])
    (folder / kept).unlink()  # it is in the store
    second = again(store, weights, first, [tmp_path])
    after = rows_of(store, second)
    assert after.keys() == before.keys() and rows_of(store, first) == before
    failed = {name: row["reason"] for name, row in after.items() if row["state"] == "failed"}
    assert failed.keys() == {"bad.png", gone.name, other.name}
    assert "another file now" in failed[other.name] and gone.name in failed[gone.name]
    for name in before.keys() - failed.keys():
        assert after[name]["digest"] == before[name]["digest"]
        assert after[name]["bundle_version"] != before[name]["bundle_version"]
    with store.reading() as session:
        about, trail = batches.get_batch(session, second), session.scalars(select(AuditRow)).all()
    assert (about.state, about.title) == (State.DONE, "lot 7, again with weaker")
    assert about.source == Folder(path=str(folder), root=str(tmp_path), again_of=first)
    assert trail[-1].details["again_of"] == first and trail[-1].who == "ada"


def test_uploads_come_from_the_store_or_not_at_all(store, weights) -> None:
    files = [(f"{name}.png", casting(name, 105)) for name in ("ok", "def")]
    first = inspected(store, weights, upload_source(files, store.files), "defects")
    with store.reading() as session:
        assert to_be_had(session, first).words == (
            "1 picture kept in the store, 1 not to be had again, as they were not kept"
        )
    after = rows_of(store, again(store, weights, first, []))
    assert after["def.png"]["state"] == ImageState.DONE
    assert (
        after["ok.png"]["reason"] == f"was accepted in batch {first}, so its picture was not kept"
    )
    nothing = inspected(store, weights, upload_source(files, store.files), "none")
    with pytest.raises(SourceError, match="none of its pictures was kept"):
        again(store, weights, nothing, [])


def test_it_is_refused_where_nothing_could_come_of_it(store, weights, tmp_path) -> None:
    folder = lot(tmp_path / "lot")
    number = inspected(store, weights, folder_source(folder, None), "none")
    with pytest.raises(SourceError, match="not below"):  # who asks may not read there
        again(store, weights, number, [tmp_path / "elsewhere"])
    with pytest.raises(StoreError, match="this very version"):
        start_batch_again(store, load_bundle(weights, "casting", "resnet50"), number, None, ADA)
    with store.session() as session:
        batches.get_batch(session, number).state = State.RUNNING
    with pytest.raises(StoreError, match="wait until it has ended"):
        again(store, weights, number, None)


def test_a_batch_of_the_wrong_line_is_inspected_as_another_one(store, weights) -> None:
    files = [(f"{name}.png", casting(name, 105)) for name in ("ok", "def")]
    first = inspected(store, weights, upload_source(files, store.files), "all")
    before = rows_of(store, first)
    steel = load_bundle(weights, "neu-surface", "resnet50")
    made = start_batch_again(store, steel, first, [], ADA)
    work_on(store, weights, Limits(), made.id, Event())
    assert (made.line, made.source.again_of) == ("neu-surface", first)
    assert made.title.endswith("again as Hot-rolled steel surface with resnet50")
    after = rows_of(store, made.id)
    assert rows_of(store, first) == before and after.keys() == before.keys()
    for name, row in after.items():
        assert row["state"] == ImageState.DONE and row["digest"] == before[name]["digest"]


def test_the_command_line_says_what_changed(weights, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    folder = lot(tmp_path / "lot")

    def run(*words: object) -> dict:
        done = CliRunner().invoke(app, [*map(str, words), "--json"])
        assert done.exit_code in (0, 1), done.output
        return json.loads(done.stdout)

    common = ("batch", folder, "--line", "casting", "--weights", weights, "--bundle", "resnet50")
    first = run(*common, "--db")["batch"]
    said = run("batch", "--again", first, "--bundle", "weaker", "--weights", weights)
    assert (said["again_of"], said["images"], said["failed"]) == (first, 9, 1)
    listed = run("changes", first, said["batch"], "--out", tmp_path / "changes.csv")
    moved = sum(
        count
        for one, row in said["changes"]["verdicts"].items()
        for two, count in row.items()
        if one != two
    )
    assert 0 < moved == len(listed["changed"])
    assert all(row["before"]["verdict"] != row["after"]["verdict"] for row in listed["changed"])
    assert len((tmp_path / "changes.csv").read_text("utf-8-sig").splitlines()) == moved + 1
    for words in (("--again", first, folder), (folder,), ("--again", 99)):
        assert CliRunner().invoke(app, ["batch", *map(str, words)]).exit_code == 2
