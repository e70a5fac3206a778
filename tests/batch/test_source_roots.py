"""A source root is a wall: no link leads out of it, whenever it is made."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from threading import Event, Thread

import pytest
from pydantic import TypeAdapter
from sqlalchemy import select

from defectvision.batch.runner import work_on
from defectvision.batch.sources import SourceError, folder_source, list_images, read_image
from defectvision.bundle.reader import load_bundle
from defectvision.inference.images import ImageError
from defectvision.inference.passed_over import PassedOver
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.roots import NotAllowedError, opened, opened_folder
from defectvision.store import batches
from defectvision.store.sources import Source
from defectvision.store.tables import ImageState, InspectionRow
from tests.stand_ins.castings import casting

SECRET, MINE = casting("def", 105), casting("ok", 3)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with an own image in a folder, beside it what nobody may see."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.png").write_bytes(SECRET)
    with zipfile.ZipFile(tmp_path / "outside" / "secret.zip", "w") as archive:
        archive.writestr("secret.png", SECRET)
    (tmp_path / "root" / "lot").mkdir(parents=True)
    (tmp_path / "root" / "lot" / "mine.png").write_bytes(MINE)
    return tmp_path / "root"


def inspected(store, weights: Path, source: Source) -> dict[str, InspectionRow]:
    with store.session() as session:
        loaded = load_bundle(weights, "casting")
        number = batches.add_batch(session, loaded, source, "lot", unproven("ada"), "all").id
    work_on(store, weights, Limits(), number, Event())
    with store.reading() as session:
        wanted = select(InspectionRow).where(InspectionRow.batch_id == number)
        return {row.name: row for row in session.scalars(wanted)}


def test_links_out_are_refused_and_links_within_are_read(store, weights, root) -> None:
    outside = root.parent / "outside"
    (root / "lot" / "a.png").symlink_to(outside / "secret.png")
    (root / "lot" / "b.png").symlink_to("../../outside/secret.png")
    (root / "lot" / "folder").symlink_to(outside)
    (root / "lot" / "within.png").symlink_to(root / "lot" / "mine.png")
    found = inspected(store, weights, folder_source(root / "lot", [root]))
    for name in ("a.png", "b.png"):
        assert found[name].state == ImageState.FAILED
        assert found[name].reason == "a link that leads out of what may be read here"
    assert {n for n, row in found.items() if row.state == ImageState.DONE} == {
        "mine.png", "within.png"
    }  # fmt: skip
    assert not any(row.digest and store.files.get(row.digest) == SECRET for row in found.values())


def test_whoever_may_read_anything_reads_through_links(store, weights, root) -> None:
    (root / "lot" / "a.png").symlink_to(root.parent / "outside" / "secret.png")
    found = inspected(store, weights, folder_source(root / "lot", None))
    assert found["a.png"].state == ImageState.DONE


@pytest.mark.parametrize("swapped", ["file", "folder", "lot"])
def test_a_link_made_after_the_listing_is_not_followed(store, root, swapped: str) -> None:
    (root / "lot" / "left").mkdir()
    (root / "lot" / "left" / "secret.png").write_bytes(MINE)
    source = folder_source(root / "lot", [root])
    listed = {image.name: image for image in list_images(source, store.files, PassedOver())}
    row = InspectionRow(name="left/secret.png", path=listed["left/secret.png"].path)
    assert read_image(row, source, store.files).data == MINE
    place = {"file": "lot/left/secret.png", "folder": "lot/left", "lot": "lot"}[swapped]
    (root / place).rename(root / "aside")
    (root.parent / "outside" / "left").symlink_to(root.parent / "outside")
    target = {"file": "outside/secret.png", "folder": "outside", "lot": "outside"}[swapped]
    (root / place).symlink_to(root.parent / target)
    with pytest.raises(ImageError, match="leads out"):
        read_image(row, source, store.files)


def test_a_lot_or_an_archive_that_became_a_link_is_not_listed(store, root) -> None:
    lot, archive = root / "lot", root / "lot.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("mine.png", MINE)
    of_folder, of_zip = folder_source(lot, [root]), folder_source(archive, [root])
    lot.rename(root / "aside")
    lot.symlink_to(root.parent / "outside")
    archive.unlink()
    archive.symlink_to(root.parent / "outside" / "secret.zip")
    with pytest.raises(SourceError, match="leads out"):
        list(list_images(of_folder, store.files, PassedOver()))
    (only,) = list_images(of_zip, store.files, PassedOver())
    assert only.digest is None and "leads out" in only.reason


def test_no_moment_lies_between_the_check_and_the_opening(root) -> None:
    """A folder on the way turns into a link and back as fast as it can."""
    (root / "lot" / "secret.png").write_bytes(MINE)
    lot, aside, link = root / "lot", root / "aside", root / "link"
    link.symlink_to(root.parent / "outside")
    stop = Event()

    def swap() -> None:
        while not stop.is_set():
            lot.rename(aside)
            link.rename(lot)
            lot.rename(link)
            aside.rename(lot)

    swapping = Thread(target=swap)
    swapping.start()
    seen = refused = 0
    try:
        for _ in range(3_000):
            try:
                with opened(root / "lot" / "secret.png", root) as file:
                    assert file.read() == MINE
                seen += 1
                with opened_folder(root / "lot", root) as folder:
                    assert "secret.zip" not in {entry.name for entry in os.scandir(folder)}
            except (NotAllowedError, OSError):
                refused += 1
    finally:
        stop.set()
        swapping.join()
    assert seen and refused, "the folder was never there, or never a link"


def test_a_pipe_below_a_root_keeps_nobody_waiting(root) -> None:
    os.mkfifo(root / "lot" / "pipe.png")
    with (
        pytest.raises(NotAllowedError, match="not an ordinary file"),
        opened(root / "lot" / "pipe.png", root),
    ):
        pass


def test_a_source_that_an_earlier_version_kept_is_its_own_wall(store, root) -> None:
    kept = TypeAdapter(Source).validate_python({"kind": "folder", "path": str(root / "lot")})
    (root / "lot" / "a.png").symlink_to(root.parent / "outside" / "secret.png")
    with pytest.raises(ImageError, match="leads out"):
        read_image(InspectionRow(name="a", path=str(root / "lot" / "a.png")), kept, store.files)
