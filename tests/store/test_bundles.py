"""The default bundle of a line, and bundles that come and go as zip files."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import (
    BundleError,
    list_bundles,
    load_bundle,
    load_bundle_once,
    read_line,
)
from defectvision.bundle.schema import LoadedBundle
from defectvision.bundle.signature import make_key, read_key, write_signature
from defectvision.cli.main import app
from defectvision.inference.parcel import ParcelError, pack
from defectvision.people import unproven
from defectvision.settings import settings
from defectvision.store import policies
from defectvision.store.bundles import export_bundle, import_bundle, switch_default, switches
from defectvision.store.database import Store
from defectvision.store.tables import AuditRow
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.stores import new_store

ANNA, BEN = unproven("anna"), unproven("ben")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "weights", "casting", "resnet50")
    write_bundle(tmp_path / "weights", "casting", "small", gain=0.3)
    return tmp_path / "weights"


def told(store: Store) -> list[tuple[str, str]]:
    with store.reading() as session:
        return [(row.who, row.what) for row in session.scalars(select(AuditRow))]


def again(content: bytes, **files: bytes) -> io.BytesIO:
    """The zip file of a bundle with other content of some files of its folder."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        for name in names:
            new.writestr(name, files.get(Path(name).stem, old.read(name)))
    return out


def with_hashes(content: bytes, **files: bytes) -> io.BytesIO:
    """As `again`, and bundle.json agrees with it."""
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        about = json.loads(old.read("casting/resnet50/bundle.json"))
    for name in about["files"]:
        if Path(name).stem in files:
            about["files"][name] = hashlib.sha256(files[Path(name).stem]).hexdigest()
    return again(content, bundle=json.dumps(about).encode(), **files)


def test_a_switch_is_taken_by_whoever_names_no_bundle_and_is_told(
    store: Store, weights: Path
) -> None:
    version = load_bundle_once(weights, "casting", "small").version
    switch_default(store, weights, "casting", "small", ANNA, "fewer escapes", "resnet50")
    assert load_bundle_once(weights, "casting").bundle.name == "small"
    assert load_bundle_once(weights, "casting").version == version
    assert list_bundles(weights / "casting")[0] == "small"
    switch_default(store, weights, "casting", "resnet50", BEN, "too slow", "small")
    assert load_bundle_once(weights, "casting").bundle.name == "resnet50"
    with store.reading() as session:
        found = switches(session, "casting")
    assert [(s.before, s.after, s.who, s.why) for s in found] == [
        ("small", "resnet50", "ben", "too slow"),
        ("resnet50", "small", "anna", "fewer escapes"),
    ]


def test_who_comes_second_does_not_overrule_unseen(store: Store, weights: Path) -> None:
    switch_default(store, weights, "casting", "small", ANNA, "why", "resnet50")
    with pytest.raises(BundleError, match="the default is 'small' by now, not 'resnet50'"):
        switch_default(store, weights, "casting", "resnet50", BEN, "why", "resnet50")
    with pytest.raises(BundleError, match="is the default of line 'casting' already"):
        switch_default(store, weights, "casting", "small", BEN, "why", "small")
    with pytest.raises(BundleError, match="has no bundle 'x'"):
        switch_default(store, weights, "casting", "x", BEN, "why", "small")
    (weights / "casting" / "resnet50" / "model.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="does not match the hash"):
        switch_default(store, weights, "casting", "resnet50", BEN, "why", "small")
    assert told(store) == [("anna", "default bundle switched")]


def test_what_cannot_be_written_is_not_told(
    store: Store, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "line.json")

    monkeypatch.setattr("defectvision.bundle.writer.write_line", full)
    with pytest.raises(BundleError, match="cannot be written"):
        switch_default(store, weights, "casting", "small", ANNA, "why", "resnet50")
    assert told(store) == []


def test_a_bundle_goes_to_another_plant_and_comes_under_another_name(
    store: Store, weights: Path, tmp_path: Path
) -> None:
    here = load_bundle(weights, "casting")
    content = export_bundle(store, here, ANNA)
    there = import_bundle(store, io.BytesIO(content), tmp_path / "plant", BEN)
    assert there.version == here.version
    assert load_bundle(tmp_path / "plant", "casting").bundle.name == "resnet50"
    other = import_bundle(store, io.BytesIO(content), weights, BEN, "night-shift")
    assert other.bundle.name == "night-shift"
    assert other.version != here.version
    assert load_bundle(weights, "casting").bundle.name == "resnet50"  # still the default
    assert told(store) == [
        ("anna", "bundle exported"),
        ("ben", "bundle imported"),
        ("ben", "bundle imported"),
    ]
    assert sorted(p.name for p in weights.iterdir()) == ["casting"]


def test_a_bundle_that_names_more_comes_and_the_others_stay_what_they_were(
    store: Store, weights: Path, tmp_path: Path
) -> None:
    """Where a line has a class for deviations: with a bundle from a plant that has a name more."""
    version = as_deviations(weights, "resnet50").version
    plant = tmp_path / "plant"
    write_bundle(plant, "casting", "named")
    more = as_deviations(plant, "named", "crack")
    content = io.BytesIO(pack(more))
    with pytest.MonkeyPatch.context() as patch:  # its model knows two classes
        patch.setattr("defectvision.store.bundles.try_bundle", lambda *_: None)
        import_bundle(store, content, weights, ANNA)
    assert read_line(weights / "casting").class_names == ("ok", "deviation", "crack")
    here = load_bundle(weights, "casting")
    assert (here.version, here.line.class_names) == (version, ("ok", "deviation"))
    assert load_bundle(weights, "casting", "named").version == more.version
    with zipfile.ZipFile(io.BytesIO(pack(here))) as packed:
        assert len(json.loads(packed.read("casting/line.json"))["classes"]) == 2


def as_deviations(weights: Path, name: str, *names: str) -> LoadedBundle:
    """A bundle whose line has a class for deviations, and these names besides."""
    files = weights / "casting" / "line.json", weights / "casting" / name / "bundle.json"
    line, about = (json.loads(file.read_text()) for file in files)
    line["classes"][1] |= {"name": "deviation", "title": "Deviation"}
    extra = [line["classes"][1] | {"name": one, "title": one.title()} for one in names]
    line["classes"] += extra
    about["classes"] = [one["name"] for one in line["classes"]]
    for file, content in zip(files, (line, about), strict=True):
        file.write_text(json.dumps(content))
    return load_bundle(weights, "casting", name)


def test_none_is_replaced(store: Store, weights: Path) -> None:
    content, before = pack(load_bundle(weights, "casting")), (weights / "casting").stat().st_mtime
    for name in ("", "small"):
        with pytest.raises(ParcelError, match="already, and none is replaced"):
            import_bundle(store, io.BytesIO(content), weights, ANNA, name)
    for name in ("../x", "A", "."):
        with pytest.raises(ParcelError, match="cannot be a bundle's name"):
            import_bundle(store, io.BytesIO(content), weights, ANNA, name)
    assert (weights / "casting").stat().st_mtime == before
    assert told(store) == []


def test_what_was_changed_on_the_way_is_refused(store: Store, weights: Path) -> None:
    content = pack(load_bundle(weights, "casting"))
    with pytest.raises(BundleError, match=r"model\.onnx: does not match the hash"):
        import_bundle(store, again(content, model=b"x"), weights, ANNA, "new")
    with pytest.raises(BundleError, match=r"casting/new: does not run on a test picture"):
        import_bundle(store, with_hashes(content, model=b"x" * 99), weights, ANNA, "new")
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        line = json.loads(old.read("casting/line.json"))
    line["classes"][1]["kind"] = "ok"
    with pytest.raises(ParcelError, match=r"the classes ok \(good\), def \(good\)"):
        import_bundle(store, again(content, line=json.dumps(line).encode()), weights, ANNA, "new")
    assert sorted(p.name for p in weights.iterdir()) == ["casting"]
    assert told(store) == []


def test_where_signatures_are_demanded_one_is_needed(
    store: Store, weights: Path, tmp_path: Path
) -> None:
    trusted = (("plant", make_key(tmp_path / "key.pem")),)
    here = load_bundle(weights, "casting")
    plant = tmp_path / "plant"
    with pytest.raises(BundleError, match=r"signature\.json: is missing"):
        import_bundle(store, io.BytesIO(pack(here)), plant, ANNA, "", trusted)
    write_signature(here.folder, here.covered, read_key(tmp_path / "key.pem"))
    content = pack(load_bundle(weights, "casting"))
    with pytest.raises(ParcelError, match="under another name the signature does not hold"):
        import_bundle(store, io.BytesIO(content), plant, ANNA, "other", trusted)
    loaded = import_bundle(store, io.BytesIO(content), plant, ANNA, "", trusted)
    assert loaded.signed == "by plant"
    assert import_bundle(store, io.BytesIO(content), weights, ANNA, "b").signed == "not signed"


def test_an_earlier_policy_comes_back_as_a_new_version(store: Store, weights: Path) -> None:
    loaded = load_bundle(weights, "casting")
    own, strict = loaded.bundle.policy, Policy(accept_below=0.1, reject_above=0.2)
    with store.session() as session:
        policies.save(session, "casting", "resnet50", strict, ANNA, "a complaint", own)
    with store.session() as session:
        policies.restore(session, loaded, None, BEN, "too many reviews", strict)
    with store.session() as session:
        row = policies.restore(session, loaded, 1, ANNA, "another complaint", own)
        assert (row.number, policies.policy_of(row), row.who) == (3, strict, "anna")
    with store.reading() as session:
        found = policies.history(session, "casting", "resnet50")
    assert [policies.policy_of(row) for row in found] == [strict, own, strict]
    with store.session() as session, pytest.raises(ValueError, match="has no policy 9"):
        policies.restore(session, loaded, 9, ANNA, "why", strict)


def test_the_command_line_takes_a_bundle_and_says_which_policy_judges_it(
    store: Store, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(weights))
    settings.cache_clear()
    loaded = load_bundle(weights, "casting")
    with store.session() as session:
        policies.save(session, "casting", "new", Policy(), ANNA, "why", loaded.bundle.policy)
    file = str(tmp_path / "casting.zip")

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, ["bundle", *words])

    assert run("export", file, "--line", "casting").exit_code == 0
    refused = run("import", file)
    assert refused.exit_code == 2 and "none is replaced" in refused.stderr
    done = run("import", file, "--as", "new", "--json")
    assert json.loads(done.stdout)["bundle"] == "new"
    assert "in force for it is policy 1 of anna" in done.stderr
    assert run("default", "--line", "casting", "--bundle", "new", "--why", " ").exit_code == 2
    assert run("default", "--line", "casting", "--bundle", "new", "--why", "better").exit_code == 0
    assert load_bundle(weights, "casting").bundle.name == "new"
