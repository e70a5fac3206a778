"""The worker behind the pages: it outlives a store that does not answer."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

from defectvision.batch import worker
from defectvision.batch.sources import upload_source
from defectvision.bundle.reader import load_bundle
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.store import batches
from defectvision.store.batches import Counts
from defectvision.store.database import Store, open_store
from defectvision.store.errors import StoreError
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting

PATIENCE = 60  # s


def test_work_goes_on_when_the_store_answers_again(tmp_path: Path, monkeypatch, caplog) -> None:
    write_bundle(tmp_path / "weights", "casting", "resnet50")
    store = open_store(tmp_path / "store")
    source = upload_source([("a.png", casting("ok", 3)), ("b.png", b"no image")], store.files)
    with store.session() as session:
        loaded = load_bundle(tmp_path / "weights", "casting")
        number = batches.add_batch(session, loaded, source, "lot 7", unproven("ada")).id
    opened, idle = [], Event()

    def open_again() -> Store:
        opened.append(len(opened))
        if len(opened) <= 2:
            raise StoreError("the database is away")
        return store

    class Stop(Event):
        """Ends the work when there is nothing left to do."""

        def wait(self, timeout: float | None = None) -> bool:
            if timeout == worker.IDLE_SECONDS:
                idle.set()
                self.set()
            return self.is_set()

    stop = Stop()
    what = (open_again, tmp_path / "weights", Limits(), stop)
    thread = Thread(target=worker.work_forever, args=what, daemon=True)
    thread.start()
    assert idle.wait(PATIENCE)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    with store.reading() as session:
        assert batches.count_images(session, number) == Counts(done=1, failed=1)
        assert batches.active_batches(session) == []
    troubles = [str(r.exc_info[1]) for r in caplog.records if r.exc_info]
    assert troubles == ["the database is away"] * 2


def test_a_stopped_worker_opens_no_store(tmp_path: Path) -> None:
    stop = Event()
    stop.set()

    def never() -> Store:
        raise AssertionError("opened")

    worker.work_forever(never, tmp_path, Limits(), stop)
