"""Lots at URLs and in tables of paths, as the command line names them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import fsspec
import pandas as pd
import pytest
from sqlalchemy import select

from defectvision.batch import remote
from defectvision.batch.runner import work_on
from defectvision.batch.sources import SourceError, place_source
from defectvision.batch.start import BatchRequest, start_batch
from defectvision.bundle.reader import load_bundle
from defectvision.inference.sources import Limits as SourceLimits
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.store.batches import Counts, get_batch
from defectvision.store.database import Store
from defectvision.store.sources import Folder, PathTable, Remote
from defectvision.store.tables import InspectionRow
from tests.stand_ins.castings import casting
from tests.stand_ins.claimed_batches import counts

ROOT = "memory://plant/lot"


@pytest.fixture(autouse=True)
def bucket() -> Iterator[fsspec.AbstractFileSystem]:
    """An object store of this process, with a lot in it."""
    system = fsspec.filesystem("memory")
    for name in ("a.png", "left/b.png", "left/c.txt", ".hidden/d.png"):
        system.pipe(f"/plant/lot/{name}", casting("def", 3) + name.encode())
    system.pipe("/plant/lot/empty.png", b"")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("z.png", casting("ok", 3))
    system.pipe("/plant/lot.zip", packed.getvalue())
    yield system
    system.rm("/plant", recursive=True)


def inspected(store: Store, weights: Path, place: str) -> tuple[Counts, dict[str, str], str]:
    """A batch of `place`: its counts, what became of each image, and its message."""
    loaded = load_bundle(weights, "casting")
    request = BatchRequest("lot", path=place)
    number = start_batch(store, loaded, request, None, unproven("ada")).id
    work_on(store, weights, Limits(), number, Event())
    with store.reading() as session:
        rows = session.scalars(select(InspectionRow).where(InspectionRow.batch_id == number))
        became = {row.name: row.reason or row.state for row in rows}
        return counts(store, number), became, get_batch(session, number).message


def test_the_images_below_a_url(store, weights, monkeypatch) -> None:
    found, became, _ = inspected(store, weights, ROOT)
    assert found == Counts(done=2, failed=1)
    assert became["a.png"] == became["left/b.png"] == "done"
    assert became.keys() == {"a.png", "left/b.png", "empty.png"}
    found, became, _ = inspected(store, weights, f"{ROOT}.zip")
    assert became == {f"{ROOT}.zip/z.png": "done"}
    assert inspected(store, weights, f"{ROOT}/left/b.png")[1] == {"b.png": "done"}
    monkeypatch.setattr(remote, "DEFAULT_LIMITS", SourceLimits(entry_bytes=1 << 20))
    fsspec.filesystem("memory").pipe("/plant/lot/left/b.png", bytes(2 << 20))
    assert inspected(store, weights, f"{ROOT}/left/b.png")[1] == {"b.png": "more than 1 MiB"}


def test_a_table_names_paths_and_urls(store, weights, tmp_path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/near.png").write_bytes(casting("ok", 105))
    paths = [f"{ROOT}/a.png", str(tmp_path / "x/near.png"), "x/near.png"]
    pd.DataFrame({"path": paths, "name": ["one", "two", "two"]}).to_parquet(tmp_path / "t.parquet")
    found, became, _ = inspected(store, weights, str(tmp_path / "t.parquet"))
    assert (found, became) == (
        Counts(done=3, repeated=1),
        {"one": "done", "two": "done", "two (2)": "done"},
    )
    pd.DataFrame({"path": ["lot/a.png"]}).to_parquet(f"{ROOT}.parquet")
    assert inspected(store, weights, f"{ROOT}.parquet")[1] == {"lot/a.png": "done"}


def test_a_lot_that_goes_away_is_waited_for(store, weights, bucket, monkeypatch) -> None:
    listed = remote.urls_below

    def gone(*given):
        yield from list(listed(*given))
        bucket.rm("/plant", recursive=True)

    monkeypatch.setattr("defectvision.batch.sources.urls_below", gone)
    found, _, message = inspected(store, weights, ROOT)
    assert found.waiting == 3 and message == f"{ROOT}: is gone. It is waited for; put it back"
    bucket.pipe("/plant/x", b"")  # for the fixture's end


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("memory://plant/lots", "no such file or folder. Check the URL"),
        ("wrong://plant/lot", "cannot be read"),
        ("{folder}/lots", "no such file or folder"),
        ("{folder}/t.parquet", "has no column 'path'.* it has file"),
        ("{folder}/text.parquet", "no Parquet file, or a damaged one"),
    ],
)
def test_what_cannot_be_a_lot_is_refused_in_words(place, words, tmp_path) -> None:
    pd.DataFrame({"file": ["a.png"]}).to_parquet(tmp_path / "t.parquet")
    (tmp_path / "text.parquet").write_text("path\na.png\n")
    with pytest.raises(SourceError, match=words):
        place_source(place.format(folder=tmp_path))


def test_what_the_command_line_names(tmp_path) -> None:
    pd.DataFrame({"path": ["a.png"]}).to_parquet(tmp_path / "t.parquet")
    assert isinstance(place_source(str(tmp_path)), Folder)
    assert isinstance(place_source(str(tmp_path / "t.parquet")), PathTable)
    assert isinstance(place_source(ROOT), Remote)
