"""Opening a store: its tables, its troubles, and files that are whole or not there."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import IntegrityError

from defectvision.bundle.policy import Policy, PolicyInForce
from defectvision.people import unproven
from defectvision.store import policies
from defectvision.store.database import open_existing_store, open_store
from defectvision.store.errors import LostFileError, StoreError
from defectvision.store.files import Files, digest_of
from defectvision.store.folder import kind_of_mount
from defectvision.store.tables import AuditRow, Base, InspectionRow, ReviewRow
from tests.stand_ins.bundles import LINES
from tests.stand_ins.stores import fill, new_store


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_migrations_build_the_tables_of_the_code(kind, tmp_path, request) -> None:
    database = request.getfixturevalue("postgres")() if kind != "sqlite" else ""
    store = new_store(tmp_path, database)
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_both_databases_give_the_same_rows(kind, tmp_path, request) -> None:
    """What went in comes out: texts, numbers to the last bit, moments with their zone."""
    database = request.getfixturevalue("postgres")() if kind != "sqlite" else ""
    plain, other = new_store(tmp_path / "a"), new_store(tmp_path / "b", database)
    line, found = LINES["magnetic-tile"], []
    for store in (plain, other):
        fill(store, line, 50)
        with store.reading() as session:
            rows = session.query(InspectionRow).order_by(InspectionRow.id)
            columns = [c.key for c in InspectionRow.__table__.columns if c.key != "at"]
            found.append([{c: getattr(row, c) for c in columns} for row in rows])
            assert all(row.at.tzinfo is not None for row in rows)
    assert found[0] == found[1] and len(found[0]) == 50


@pytest.mark.slow
def test_servers_that_open_an_empty_database_at_once_build_it_once(tmp_path, postgres) -> None:
    """Each from a folder of its own, so that no file keeps them apart."""
    script = "import sys; from pathlib import Path; "
    script += "from defectvision.store.database import open_store; "
    script += "sys.stdin.readline(); open_store(Path(sys.argv[1]), sys.argv[2])"
    address = postgres()
    servers = [
        subprocess.Popen(
            [sys.executable, "-c", script, tmp_path / name, address],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in "abcd"
    ]
    for server in servers:
        server.stdin.write("\n")
        server.stdin.flush()
    ends = [(server.communicate(timeout=60)[1], server.returncode) for server in servers]
    assert [status for _, status in ends] == [0] * 4, ends
    fill(open_store(tmp_path / "a", address), LINES["casting"], 1)


def test_a_folder_that_cannot_be_made_is_named(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="DEFECTVISION_STORE"):
        open_store(tmp_path / "file" / "store")


@pytest.mark.parametrize(
    ("database", "words"),
    [
        ("nonsense", "cannot be opened"),
        ("oracledb+x://a", "cannot be opened"),
        ("postgresql://dv:geheim@127.0.0.1:1/x", "cannot be opened"),
    ],
)
def test_a_database_that_cannot_be_opened_is_named_without_its_password(
    tmp_path, database, words
) -> None:
    with pytest.raises(StoreError, match=words) as found:
        open_store(tmp_path / "store", database)
    assert "geheim" not in str(found.value) and "DEFECTVISION_DATABASE" in str(found.value)


def test_a_damaged_database_says_so(tmp_path, in_a_folder) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "defectvision.sqlite3").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match=r"not a database.*restore"):
        open_store(folder)


def test_readers_and_a_writer_do_not_wait_for_each_other(tmp_path) -> None:
    store = new_store(tmp_path)
    fill(store, LINES["casting"], 10)
    with store.reading() as reading:
        assert reading.query(InspectionRow).count() == 10
        fill(store, LINES["casting"], 5, seed=1)
        assert reading.query(InspectionRow).count() == 10, "a reader sees one moment"
    with store.reading() as reading:
        assert reading.query(InspectionRow).count() == 15


def test_many_writers_lose_nothing(tmp_path) -> None:
    store = new_store(tmp_path)
    with ThreadPoolExecutor(8) as crew:
        list(crew.map(lambda i: fill(store, LINES["casting"], 20, seed=i), range(16)))
    with store.reading() as session:
        assert session.query(InspectionRow).count() == 320


def test_saved_policies_are_numbered_and_on_record(tmp_path) -> None:
    store, before = new_store(tmp_path), Policy()
    tight = Policy(accept_below=0.2, reject_above=0.6)
    with store.session() as session:
        assert policies.in_force(session, "casting", "resnet50", before) == PolicyInForce(before)
        policies.save(session, "casting", "resnet50", tight, unproven("ada"), "escapes", before)
        policies.save(session, "casting", "resnet50", before, unproven("bo"), "too tight", tight)
    with store.reading() as session:
        rows = policies.history(session, "casting", "resnet50")
        assert [(r.number, r.who, policies.policy_of(r)) for r in rows] == [
            (2, "bo", before),
            (1, "ada", tight),
        ]
        first = session.query(AuditRow).order_by(AuditRow.id).first()
        assert first.details["changed"] == {"accept_below": [0.5, 0.2], "reject_above": [0.5, 0.6]}


def test_the_policy_in_force_says_whose_it_is(tmp_path) -> None:
    store, own, tight = new_store(tmp_path), Policy(), Policy(accept_below=0.2, reject_above=0.6)
    with store.session() as session:
        policies.save(session, "casting", "resnet50", own, unproven("bo"), "a try", tight)
        policies.save(session, "casting", "resnet50", tight, unproven("ada"), "escapes", own)
    with store.reading() as session:
        saved = policies.in_force(session, "casting", "resnet50", own)
        other = policies.in_force(session, "casting", "efficientnet", own)
    assert (saved.policy, saved.number, saved.who, saved.why) == (tight, 2, "ada", "escapes")
    assert saved.at is not None and saved.at.tzinfo is not None
    assert saved.words == "policy 2 of ada, saved for everyone"
    assert other == PolicyInForce(own) and other.words == "the bundle's own policy"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_asking_a_store_that_is_not_there_makes_none(kind, tmp_path, request) -> None:
    database = request.getfixturevalue("postgres")() if kind != "sqlite" else ""
    folder = tmp_path / "store"
    assert open_existing_store(folder, database) is None
    assert not folder.exists()
    fill(open_store(folder, database), LINES["casting"], 3)
    with open_existing_store(folder, database).reading() as session:
        assert session.query(InspectionRow).count() == 3


def test_nobody_overrules_a_policy_that_they_have_not_seen(tmp_path) -> None:
    """Anna moves one threshold while Bo saves the other: by her policy, which has the old value of
    it, his would be gone, and the audit trail would say that she changed hers alone."""
    store, own = new_store(tmp_path), Policy(accept_below=0.2, reject_above=0.6)
    bo, anna = Policy(accept_below=0.1, reject_above=0.6), Policy(accept_below=0.2)

    def save(policy: Policy, who: str, before: Policy) -> None:
        with store.session() as session:
            why = "a complaint"
            policies.save(session, "casting", "resnet50", policy, unproven(who), why, before, own)

    save(bo, "bo", own)
    with pytest.raises(StoreError, match="policy 1 of bo, saved for everyone is in force"):
        save(anna, "anna", own)
    with store.reading() as session:
        assert policies.in_force(session, "casting", "resnet50", own).policy == bo
        assert session.query(AuditRow).count() == 1
    save(anna, "anna", bo)
    with store.reading() as session:
        last = session.query(AuditRow).order_by(AuditRow.id.desc()).first()
    assert last.details["changed"] == {"accept_below": [0.1, 0.2], "reject_above": [0.6, 0.5]}


def test_of_two_who_save_at_once_the_second_is_told(tmp_path) -> None:
    store = new_store(tmp_path)
    with store.session() as session:
        policies.save(session, "casting", "resnet50", Policy(), unproven("ada"), "", Policy())
    with pytest.raises(IntegrityError), store.session() as session:
        session.add(
            policies.PolicyRow(
                line="casting", bundle="resnet50", number=1, content={}, who="bo", why=""
            )
        )


def test_a_review_of_nothing_is_refused_by_the_database(tmp_path) -> None:
    store = new_store(tmp_path)
    row = {"who": "a", "decision": "accept", "policy": {}, "model_verdict": "accept"}
    with pytest.raises(IntegrityError), store.session() as session:
        session.add(ReviewRow(inspection_id=7, **row))


@pytest.mark.parametrize("kind", ["folder", "memory", "s3"])
def test_content_comes_back_by_its_hash(tmp_path, request, monkeypatch, kind) -> None:
    url = {"folder": str(tmp_path / "files"), "memory": "memory://files"}.get(kind)
    url = url or f"{request.getfixturevalue('s3')()}/plant/files"
    files, other = Files(url), Files(url)
    assert files.usage() == (0, 0) and files.is_empty() and files.mark() is None
    digest = files.put(b"one")
    assert files.put(b"one") == digest and files.get(digest) == b"one" and files.has(digest)
    assert files.usage() == (1, 3) == other.usage()
    files.touch()
    files.set_mark({"a": 3})
    assert other.mark() == {"a": 3} and files.usage() == (1, 3)
    gone = files.put(b"three")
    assert other.usage() == (2, 8), "nothing is remembered of what others change"
    assert files.remove(gone) is None, "too young"
    monkeypatch.setattr("defectvision.store.files.YOUNG_SECONDS", -1)
    assert files.remove(gone) == 5 and not other.has(gone)
    with pytest.raises(FileNotFoundError):
        files.remove(gone)
    with pytest.raises(LostFileError, match="is missing"):
        files.get(gone)
    with pytest.raises(StoreError, match="not a SHA-256"):
        files.get("../../etc/passwd")


def test_a_damaged_file_is_not_handed_out(tmp_path) -> None:
    files = Files(str(tmp_path))
    digest = files.put(b"picture")
    (tmp_path / digest[:2] / digest).write_bytes(b"pictur")
    with pytest.raises(StoreError, match="is damaged"):
        files.get(digest)


def test_what_cannot_be_written_leaves_nothing(tmp_path, monkeypatch) -> None:
    files = Files(str(tmp_path))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError, match="No space left"):
        files.put(b"x")
    monkeypatch.undo()
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_what_a_kill_left_half_written_has_no_name_and_is_swept(tmp_path, monkeypatch) -> None:
    files = Files(str(tmp_path))
    # A kill runs no cleaning up.
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            files.put(b"x")
    (left,) = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert not files.has(digest_of(b"x")), "half files never have the final name"
    kept = files.put(b"y")
    assert files.remove_half_written() == (0, 0), "somebody may be writing it"
    os.utime(left, (0, 0))
    assert files.remove_half_written() == (1, 1) and files.get(kept) == b"y"


@pytest.mark.parametrize("damage", [b"", b"pictur", b"\0" * 7])
def test_a_damaged_file_is_mended_when_it_is_given_again(tmp_path, damage) -> None:
    files = Files(str(tmp_path))
    digest = files.put(b"picture")
    (tmp_path / digest[:2] / digest).write_bytes(damage)
    assert files.put(b"picture") == digest and files.get(digest) == b"picture"


def test_an_object_store_that_is_away_is_said_in_words(s3, monkeypatch, tmp_path) -> None:
    import s3fs

    url = s3()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        files = open_store(tmp_path, files=f"{url}/files").files
        with pytest.raises(StoreError, match=r"cannot be written .*:9/"):
            files.put(b"one")
        with pytest.raises(StoreError, match=r"cannot be read .*:9/"):
            files.get("0" * 64)
        with pytest.raises(OSError, match=":9/"):
            files.touch()
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreError, match=r"wrong://files: cannot be opened .*DEFECTVISION_FILES"):
        open_store(tmp_path, files="wrong://files")


@pytest.mark.parametrize(
    ("mount", "kind"), [("/mnt/plant\\040share nfs4", "nfs4"), ("/mnt ext4", ""), ("", "")]
)
def test_sqlite_is_refused_where_several_machines_would_share_it(
    monkeypatch, tmp_path, mount, kind
) -> None:
    mounts = tmp_path / "mountinfo"
    lines = ["1 0 8:1 / / rw - ext4 /dev/sda1 rw", "2 1 8:1 / /mnt rw - ext4 /dev/sdb1 rw"]
    at, _, of = mount.partition(" ")
    mounts.write_text("\n".join([*lines, f"3 2 0:5 / {at} rw - {of} plant:/ rw"] if at else lines))
    monkeypatch.setattr("defectvision.store.folder.MOUNTS", mounts)
    place = Path("/mnt/plant share/store")
    assert kind_of_mount(place) == (kind or "ext4")
    if kind:
        with pytest.raises(StoreError, match=f"share \\({kind}\\).*DEFECTVISION_DATABASE"):
            open_store(tmp_path / "own", f"sqlite:///{place / 'defectvision.sqlite3'}")
