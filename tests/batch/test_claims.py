"""A batch has one worker at a time, of whatever process, and whoever asked waits for its end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from defectvision.batch import claim as claiming
from defectvision.batch.claim import Claim, Rivals, claimed
from defectvision.batch.holder import has_ended, new_holder
from defectvision.batch.runner import work_on
from defectvision.batch.sources import folder_source
from defectvision.batch.worker import work_until_ended
from defectvision.bundle.reader import load_bundle
from defectvision.inference.inspector import Inspector
from defectvision.limits import Limits
from defectvision.store import batches, claims
from defectvision.store.batches import Counts, State
from defectvision.store.database import Store, open_store
from defectvision.store.errors import ClaimLostError, StoreError
from defectvision.store.retention import delete_batch
from defectvision.store.tables import BatchRow, InspectionRow, now
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting

IMAGES = 40  # more than is written together
PATIENCE = 90  # s
ELSEWHERE = "plant-9:17:4711:0123456789ab:fedcba987654"  # a process of another machine
DATABASES = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@dataclass(frozen=True)
class Place:
    """Where servers find their one store; with PostgreSQL each has a folder of its own."""

    folder: Path
    database: str

    def open(self, server: str = "a") -> Store:
        own = self.folder / (server if self.database else "store")
        return open_store(own, self.database, str(self.folder / "files"))


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("postgres")() if request.param == "postgresql" else ""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_bundle(folder, "casting", "resnet50")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Place(tmp_path, "").open()


def new_batch(store: Store, weights: Path, folder: Path, images: int = IMAGES) -> int:
    (folder / "lot").mkdir(exist_ok=True)
    for i in range(images):  # a PNG may be followed by anything: other content, same picture
        data = casting("def" if i % 3 else "ok", 3) + i.to_bytes(2)
        (folder / "lot" / f"{i:04d}.png").write_bytes(data)
    with store.session() as session:
        source = folder_source(folder / "lot", None)
        loaded = load_bundle(weights, "casting")
        return batches.add_batch(session, loaded, source, "lot 7", "ada").id


def batch_row(store: Store, number: int) -> BatchRow:
    with store.reading() as session:
        return batches.get_batch(session, number)


def counts(store: Store, number: int) -> Counts:
    with store.reading() as session:
        return batches.count_images(session, number)


def steal(store: Store, number: int) -> None:
    """What a worker elsewhere does that believes the holder to be gone."""
    with store.session() as session:
        last = claims.last_beat(session, number)
        assert claims.take_claim(session, number, ELSEWHERE, last)


def give_back(store: Store, number: int) -> None:
    with store.session() as session:
        claims.release_claim(session, number, ELSEWHERE)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that observers go by, in s; a test moves it."""
    moment = [1000.0]
    monkeypatch.setattr(claiming.time, "monotonic", lambda: moment[0])
    return moment


@DATABASES
def test_two_workers_do_not_share_a_batch(database, weights, tmp_path) -> None:
    place = Place(tmp_path, database)
    store, other = place.open("a"), place.open("b")
    number = new_batch(store, weights, tmp_path, 3)
    with claimed(store, number, Rivals()) as claim:
        assert claim is not None
        assert not work_on(other, weights, Limits(), number, Event())
        assert counts(other, number).total == 0
        row = batch_row(other, number)
        assert row.holder == claim.holder and row.held_since is not None
    assert batch_row(store, number).holder is None
    assert work_on(other, weights, Limits(), number, Event())
    assert counts(store, number) == Counts(done=3)


@DATABASES
@pytest.mark.parametrize(
    ("holder", "over", "state", "taken"),
    [
        (None, None, "running", True),
        (None, None, "watching", True),
        (None, None, "paused", False),
        (None, None, "cancelled", False),
        (None, None, "done", False),
        (ELSEWHERE, None, "running", False),
        (ELSEWHERE, (ELSEWHERE, 7), "running", True),
        (ELSEWHERE, (ELSEWHERE, 6), "running", False),  # it beat meanwhile
        (ELSEWHERE, ("another", 7), "running", False),  # a third one was faster
        (None, (ELSEWHERE, 7), "running", False),  # it let go, and may have ended the batch
        (ELSEWHERE, (ELSEWHERE, 7), "done", False),
    ],
)
def test_who_gets_a_claim(database, weights, tmp_path, holder, over, state, taken) -> None:
    store = Place(tmp_path, database).open()
    number = new_batch(store, weights, tmp_path, 1)
    with store.session() as session:
        row = batches.get_batch(session, number)
        row.holder, row.beats, row.state = holder, 7, state
    with store.session() as session:
        beat = claims.Beat(*over) if over else None
        assert claims.take_claim(session, number, "me", beat) == taken
    assert batch_row(store, number).holder == ("me" if taken else holder)


def test_a_silent_holder_is_replaced_when_its_time_is_over(store, weights, tmp_path, clock) -> None:
    number = new_batch(store, weights, tmp_path, 1)
    steal(store, number)
    rivals = Rivals()

    def is_free() -> bool:
        with claimed(store, number, rivals) as claim:
            return claim is not None

    assert not is_free()
    clock[0] += claiming.SILENT_SECONDS - 0.1
    assert not is_free()
    with store.session() as session:
        claims.beat(session, number, ELSEWHERE)
    clock[0] += claiming.SILENT_SECONDS - 0.1
    assert not is_free(), "it beat since it was seen last"
    clock[0] += claiming.SILENT_SECONDS - 0.1
    assert not is_free(), "what was seen at the last look counts, not what was before"
    clock[0] += 0.2
    assert is_free()
    assert batch_row(store, number).holder is None


@pytest.mark.parametrize("days", [-3650, -1, 1, 3650])
def test_a_clock_that_jumps_neither_costs_a_claim_nor_keeps_a_dead_one(
    store, weights, tmp_path, clock, monkeypatch, days
) -> None:
    number = new_batch(store, weights, tmp_path, 1)
    steal(store, number)
    rivals = Rivals()
    with claimed(store, number, rivals) as claim:
        assert claim is None
    jumped = now() + timedelta(days=days)
    monkeypatch.setattr("defectvision.store.claims.now", lambda: jumped)
    monkeypatch.setattr("time.time", lambda: jumped.timestamp())
    with claimed(store, number, rivals) as claim:
        assert claim is None, "nothing but the clock moved"
    clock[0] += claiming.SILENT_SECONDS
    with claimed(store, number, rivals) as claim:
        assert claim is not None


def test_a_slow_model_keeps_the_batch(store, weights, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(claiming, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(claiming, "SILENT_SECONDS", 0.6)
    monkeypatch.setattr(claiming, "has_ended", lambda holder: False)
    number = new_batch(store, weights, tmp_path, 3)
    inspect_many, calls = Inspector.inspect_many, []

    def slowly(*given: object, **more: object) -> object:
        calls.append(given)
        time.sleep(2)
        return inspect_many(*given, **more)

    monkeypatch.setattr(Inspector, "inspect_many", slowly)
    what = (store, weights, Limits(), number, Event())
    worker = Thread(target=work_until_ended, args=what)
    worker.start()
    rivals, looks = Rivals(), 0
    while worker.is_alive() and not calls:
        time.sleep(0.01)
    while batch_row(store, number).state == State.RUNNING:
        with claimed(store, number, rivals) as claim:
            assert claim is None or counts(store, number).done == 3
        looks += 1
        time.sleep(0.02)
    worker.join(PATIENCE)
    assert looks > 20 and len(calls) == 1 and counts(store, number) == Counts(done=3)


# The worker's transactions: it lists, says so, writes five images in twos, and ends the batch.
@DATABASES
@pytest.mark.parametrize(
    ("before", "listed", "done"),
    [(1, 0, 0), (2, 5, 0), (3, 5, 0), (4, 5, 2), (5, 5, 4), (6, 5, 5)],
)
def test_who_lost_the_batch_writes_nothing_more(
    database, weights, tmp_path, monkeypatch, caplog, before, listed, done
) -> None:
    store = Place(tmp_path, database).open()
    number = new_batch(store, weights, tmp_path, 5)
    monkeypatch.setattr("defectvision.batch.runner.CHUNK", 2)
    monkeypatch.setattr(claiming, "BEAT_SECONDS", PATIENCE)
    session_of, taken = Claim.session, []

    @contextmanager
    def session(claim: Claim) -> Iterator[object]:
        taken.append(claim)
        if len(taken) == before:
            steal(store, number)
        with session_of(claim) as session:
            yield session

    monkeypatch.setattr(Claim, "session", session)
    assert not work_on(store, weights, Limits(), number, Event())
    assert len(taken) == before and "taken over" in caplog.text
    found, row = counts(store, number), batch_row(store, number)
    assert (found.total, found.done) == (listed, done)
    assert (row.state, row.holder, row.message) == (State.RUNNING, ELSEWHERE, "")
    assert not work_on(store, weights, Limits(), number, Event()), "the other one has it"
    give_back(store, number)
    work_on(store, weights, Limits(), number, Event())
    assert counts(store, number) == Counts(done=5)
    assert batch_row(store, number).state == State.DONE


def test_a_worker_that_lost_the_batch_does_not_pause_it(
    store, weights, tmp_path, monkeypatch
) -> None:
    number = new_batch(store, weights, tmp_path, 2)

    def broken(*_: object, **__: object) -> object:
        steal(store, number)
        raise OSError("the disk is full")

    monkeypatch.setattr(Inspector, "inspect_many", broken)
    assert not work_on(store, weights, Limits(), number, Event())
    assert batch_row(store, number).state == State.RUNNING


def test_a_heartbeat_that_finds_the_claim_lost_ends_the_work_before_the_next_images(
    store, weights, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(claiming, "BEAT_SECONDS", 0.02)
    number = new_batch(store, weights, tmp_path)
    inspect_many, calls = Inspector.inspect_many, []

    def robbed(*given: object, **more: object) -> object:
        calls.append(given)
        steal(store, number)
        time.sleep(0.3)
        return inspect_many(*given, **more)

    monkeypatch.setattr(Inspector, "inspect_many", robbed)
    assert not work_on(store, weights, Limits(), number, Event())
    assert len(calls) == 1 and counts(store, number).done == 0


def test_a_batch_that_is_cancelled_and_deleted_under_its_worker_stays_deleted(
    store, weights, tmp_path, monkeypatch
) -> None:
    number = new_batch(store, weights, tmp_path)
    inspect_many = Inspector.inspect_many

    def deleted(*given: object, **more: object) -> object:
        with store.session() as session:
            batches.move(session, number, State.CANCELLED, "ada")
            delete_batch(session, number, "ada")
        return inspect_many(*given, **more)

    monkeypatch.setattr(Inspector, "inspect_many", deleted)
    assert not work_on(store, weights, Limits(), number, Event())
    with store.reading() as session:
        assert session.scalars(select(InspectionRow)).all() == []
        assert session.scalars(select(BatchRow)).all() == []
    with pytest.raises(StoreError, match="there is no batch"):
        work_until_ended(store, weights, Limits(), number, Event())


def test_a_batch_that_is_paused_and_resumed_at_once_stays_with_its_worker(
    store, weights, tmp_path
) -> None:
    number = new_batch(store, weights, tmp_path, 1)
    with claimed(store, number, Rivals()) as claim:
        for state in (State.PAUSED, State.RUNNING):
            with store.session() as session:
                batches.move(session, number, state, "ada")
        assert claim is not None
        assert not work_on(store, weights, Limits(), number, Event())
        with claim.session():
            pass
    assert not claim.lost.is_set()


@pytest.mark.parametrize("fails", [ClaimLostError("gone"), ArithmeticError("gone")])
def test_a_claim_is_given_up_whatever_ends_the_work(store, weights, tmp_path, fails) -> None:
    number = new_batch(store, weights, tmp_path, 1)
    with pytest.raises(type(fails)), claimed(store, number, Rivals()):
        raise fails
    assert batch_row(store, number).holder is None


def test_a_database_that_is_away_ends_neither_heartbeat_nor_work(
    store, weights, tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(claiming, "BEAT_SECONDS", 0.02)
    number = new_batch(store, weights, tmp_path, 1)
    beat, away = claims.beat, [3]

    def sometimes(*given: object) -> None:
        if away[0]:
            away[0] -= 1
            raise OperationalError("", {}, OSError("the database is away"))
        beat(*given)

    monkeypatch.setattr(claims, "beat", sometimes)
    with claimed(store, number, Rivals()) as claim:
        before = batch_row(store, number).beats
        until = time.monotonic() + PATIENCE
        while batch_row(store, number).beats < before + 3 and time.monotonic() < until:
            time.sleep(0.01)
    assert claim is not None and not claim.lost.is_set()
    assert not away[0] and caplog.text.count("did not answer") == 3


def ended_process() -> str:
    script = "from defectvision.batch.holder import new_holder; print(new_holder())"
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def of_another_start() -> str:
    """A process number that was used again."""
    host, process, start, place, own = new_holder().rsplit(":", 4)
    return ":".join((host, process, str(int(start) - 1), place, own))


def of_another_machine() -> str:
    host, process, start, _, own = ended_process().rsplit(":", 4)
    return ":".join((host, process, start, "0123456789ab", own))


def of_a_system_without_places() -> str:
    host, process, start, _, own = ended_process().rsplit(":", 4)
    return ":".join((host, process, start, "", own))


@pytest.mark.parametrize(
    ("holder", "ended"),
    [
        (new_holder, False),
        (ended_process, True),
        (of_another_start, True),
        (of_another_machine, False),
        (of_a_system_without_places, False),
        (lambda: "", False),
        (lambda: "somebody", False),
        (lambda: "a:b:c:d:e", False),
    ],
)
def test_whose_end_is_known(holder: Callable[[], str], ended: bool) -> None:
    assert has_ended(holder()) == ended


def test_no_two_workers_have_one_name() -> None:
    names = {new_holder() for _ in range(100)}
    assert len(names) == 100 and all(len(name) <= 200 for name in names)


# A server of its own: works until the batch has ended, and says what it inspected.
SERVER = """
import sys, time
from pathlib import Path
from threading import Event
from defectvision.batch import claim
from defectvision.batch.worker import work_until_ended
from defectvision.inference.inspector import Inspector
from defectvision.limits import Limits
from defectvision.store.database import open_store

folder, database, files, weights, number, silent, slow = sys.argv[1:]
claim.BEAT_SECONDS, claim.SILENT_SECONDS = 0.1, float(silent)
inspect_many = Inspector.inspect_many

def counted(self, given, **more):
    given = list(given)
    print("inspecting", len(given), flush=True)
    time.sleep(float(slow))
    return inspect_many(self, given, **more)

Inspector.inspect_many = counted
store = open_store(Path(folder), database, files)
print("ready", flush=True)
sys.stdin.readline()
work_until_ended(store, Path(weights), Limits(), int(number), Event())
"""


class Server:
    """A real process; it begins when it is told to."""

    def __init__(
        self, place: Place, weights: Path, number: int, name: str, silent: float, slow: float = 0
    ) -> None:
        folder = place.folder / (name if place.database else "store")
        what = (folder, place.database, place.folder / "files", weights, number, silent, slow)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, *map(str, what)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def until_it_inspects(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline().split()[1])

    def end(self) -> tuple[int, list[int], str]:
        """Its exit status, how many images it inspected each time, and its log."""
        out, log = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, [int(line.split()[1]) for line in out.splitlines()], log


@pytest.mark.slow
@DATABASES
def test_servers_that_start_at_once_inspect_each_image_once(database, weights, tmp_path) -> None:
    place = Place(tmp_path, database)
    store = place.open()
    number = new_batch(store, weights, tmp_path)
    with ExitStack() as running:
        servers = [Server(place, weights, number, name, 30, 0.2) for name in "abc"]
        for server in servers:
            running.callback(server.process.kill)
        for server in servers:
            server.begin()
        ends = [server.end() for server in servers]
    assert [status for status, _, _ in ends] == [0, 0, 0], ends
    assert sum(sum(inspected) for _, inspected, _ in ends) == IMAGES
    assert sum(bool(inspected) for _, inspected, _ in ends) == 1, "one had it from first to last"
    assert counts(store, number) == Counts(done=IMAGES)
    row = batch_row(store, number)
    assert (row.state, row.holder) == (State.DONE, None)


@pytest.mark.slow
@DATABASES
def test_a_killed_server_is_replaced_at_once_on_its_machine(database, weights, tmp_path) -> None:
    place = Place(tmp_path, database)
    store = place.open()
    number = new_batch(store, weights, tmp_path)
    server = Server(place, weights, number, "a", 3600)
    server.begin()
    server.until_it_inspects()
    server.process.kill()  # and not waited for: a process that has ended and is still listed
    other = Server(place, weights, number, "b", 3600)
    other.begin()
    status, _, log = other.end()
    assert status == 0 and "taken over" in log
    assert counts(store, number) == Counts(done=IMAGES)
    server.process.wait()


@pytest.mark.slow
@DATABASES
def test_a_killed_server_of_another_machine_is_replaced_when_it_is_silent(
    database, weights, tmp_path
) -> None:
    place = Place(tmp_path, database)
    store = place.open()
    number = new_batch(store, weights, tmp_path, 5)
    steal(store, number)
    server = Server(place, weights, number, "b", 1.0)
    started = time.monotonic()
    server.begin()
    status, inspected, log = server.end()
    assert time.monotonic() - started >= 1.0
    assert (status, inspected) == (0, [5]) and "taken over" in log


@pytest.mark.slow
@DATABASES
def test_a_server_that_was_stopped_notices_that_it_lost_the_batch(
    database, weights, tmp_path
) -> None:
    place = Place(tmp_path, database)
    store = place.open()
    number = new_batch(store, weights, tmp_path, 40)
    sleeper = Server(place, weights, number, "a", 1.0, slow=0.5)
    sleeper.begin()
    assert sleeper.until_it_inspects() == 32
    sleeper.process.send_signal(signal.SIGSTOP)
    other = Server(place, weights, number, "b", 1.0)
    other.begin()
    status, inspected, _ = other.end()
    assert (status, sum(inspected)) == (0, 40)
    before = {row.id: row.at for row in done_rows(store, number)}
    sleeper.process.send_signal(signal.SIGCONT)
    status, inspected, log = sleeper.end()
    assert (status, inspected) == (0, []) and "taken over" in log
    assert {row.id: row.at for row in done_rows(store, number)} == before
    assert batch_row(store, number).state == State.DONE


def done_rows(store: Store, number: int) -> list[InspectionRow]:
    with store.reading() as session:
        of_batch = InspectionRow.batch_id == number, InspectionRow.state == "done"
        rows = list(session.scalars(select(InspectionRow).where(*of_batch)))
    assert len(rows) == counts(store, number).total
    return rows
