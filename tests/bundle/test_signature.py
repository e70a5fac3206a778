"""Where keys are trusted, what one of them signed is loaded as it was signed, and nothing else."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from defectvision.bundle.reader import BundleError, load_bundle, load_bundle_once
from defectvision.bundle.signature import SignatureError, make_key, read_key
from defectvision.cli.main import app
from defectvision.inference.inspector import load_inspector
from defectvision.limits import Limits
from defectvision.settings import SettingsError, settings
from defectvision.web.lines.card import identity
from tests.stand_ins.bundles import write_bundle


@pytest.fixture(autouse=True)
def no_store_of_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which the commands would tell beside what they print."""
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    settings.cache_clear()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    write_bundle(folder, "casting", "resnet50")
    write_bundle(folder, "casting", "second")
    return folder


@pytest.fixture
def weights(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may harm."""
    return shutil.copytree(written, tmp_path / "weights")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_key(tmp_path / "key.pem")
    return tmp_path / "key.pem"


def command(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    return done.exit_code, done.output.strip()


def signed(weights: Path, key: Path, bundle: str = "resnet50") -> tuple[tuple[str, str], ...]:
    """Sign a bundle by the command; returns whom to trust."""
    status, public = command("sign", weights / "casting" / bundle, "--key", key)
    assert status == 0, public
    return (("plant", public),)


def test_a_signed_bundle_is_loaded_and_its_card_says_by_whom(weights: Path, key: Path) -> None:
    trusted = signed(weights, key)
    loaded = load_bundle(weights, "casting", "resnet50", trusted)
    assert dict(identity(loaded))["Signed"] == "by plant"
    assert load_inspector(weights, "casting", "resnet50", Limits(trusted=trusted)).loaded == loaded
    unknown = load_bundle(weights, "casting", "resnet50")
    assert unknown.signed.endswith("which is not among the trusted ones")
    assert dict(identity(load_bundle(weights, "casting", "second")))["Signed"] == "not signed"


def refused(weights: Path, trusted: tuple[tuple[str, str], ...], bundle: str = "resnet50") -> str:
    """Why a bundle is not loaded, in every way in which it is."""
    with pytest.raises(BundleError) as caught:
        load_bundle(weights, "casting", bundle, trusted)
    with pytest.raises(BundleError):
        load_inspector(weights, "casting", bundle, Limits(trusted=trusted))
    return str(caught.value)


def test_an_unsigned_one_is_refused_with_the_remedy(weights: Path, key: Path) -> None:
    trusted = signed(weights, key, "second")
    said = refused(weights, trusted)
    assert "signature.json: is missing" in said
    assert "Only bundles signed by plant are loaded here" in said
    assert "defectvision sign" in said


def test_another_key_is_refused(weights: Path, key: Path, tmp_path: Path) -> None:
    signed(weights, key)
    said = refused(weights, (("plant", make_key(tmp_path / "other.pem")),))
    assert "was made with the key" in said


@pytest.mark.parametrize(
    "harm",
    [
        lambda f: edit(f / "bundle.json", temperature=9.0),
        lambda f: edit(f / "bundle.json", policy={"accept_below": 0.9, "reject_above": 0.95}),
        lambda f: edit(f.parent / "line.json", bits=12),
        lambda f: turn_over(f.parent / "line.json"),
        lambda f: edit(f / "signature.json", signature=base64.b64encode(bytes(64)).decode()),
        lambda f: edit(f / "signature.json", signature=""),
        lambda f: edit(f / "signature.json", signature="no base64"),
        lambda f: edit(f / "signature.json", key=""),
        lambda f: edit(f / "signature.json", key=base64.b64encode(bytes(31)).decode()),
        lambda f: edit(f / "signature.json", key=base64.b64encode(bytes(33)).decode()),
        lambda f: edit(f / "signature.json", more=1),
        lambda f: (f / "signature.json").write_text("{"),
        lambda f: (f / "signature.json").write_bytes(b"\xff" * 100_000),
        lambda f: shutil.copy(f.parent / "second" / "signature.json", f / "signature.json"),
        lambda f: (f / "signature.json").unlink(),
        lambda f: remade(f / "signature.json", (f / "signature.json").unlink),
    ],
)  # fmt: skip
def test_what_was_changed_after_signing_is_refused(weights: Path, key: Path, harm) -> None:
    trusted = signed(weights, key)
    signed(weights, key, "second")
    load_bundle(weights, "casting", "resnet50", trusted)
    harm(weights / "casting" / "resnet50")
    assert "signature.json: " in refused(weights, trusted)
    load_bundle(weights, "casting", "resnet50")  # nobody demands it here


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def turn_over(line: Path) -> None:
    """Good parts are defective ones now."""
    classes = json.loads(line.read_text())["classes"]
    other = {"ok": "defect", "defect": "ok"}
    edit(line, classes=[c | {"kind": other[c["kind"]]} for c in classes])


def remade(file: Path, before) -> None:
    """A folder in the signature's place."""
    before()
    file.mkdir()


def test_a_changed_model_is_refused_whoever_signed(weights: Path, key: Path) -> None:
    trusted = signed(weights, key)
    model = weights / "casting" / "resnet50" / "model.onnx"
    model.write_bytes(model.read_bytes() + b"\0")
    assert "does not match the hash" in refused(weights, trusted)


def test_a_change_while_serving_is_noticed(weights: Path, key: Path) -> None:
    trusted = signed(weights, key)
    folder = weights / "casting" / "resnet50"
    load_bundle_once(weights, "casting", "resnet50", trusted)
    content, about = (folder / "model.onnx").read_bytes(), (folder / "model.onnx").stat()
    (folder / "model.onnx").write_bytes(content[:-1] + b"\0")
    os.utime(folder / "model.onnx", ns=(about.st_atime_ns, about.st_mtime_ns))
    with pytest.raises(BundleError, match="does not match the hash"):
        load_bundle_once(weights, "casting", "resnet50", trusted)
    (folder / "model.onnx").write_bytes(content)
    load_bundle_once(weights, "casting", "resnet50", trusted)
    (folder / "signature.json").unlink()
    with pytest.raises(BundleError, match=r"signature\.json: is missing"):
        load_bundle_once(weights, "casting", "resnet50", trusted)


def test_the_key_is_for_its_owner_alone_and_never_written_over(key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    before = key.read_bytes()
    status, said = command("keygen", key)
    assert (status, "is there already" in said) == (2, True)
    assert key.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "is no private key"),
        (b"\xff" * 50_000, "is no private key"),
        (rsa.generate_private_key(65537, 1024), "of another kind"),
        (ec.generate_private_key(ec.SECP256R1()), "of another kind"),
        (ed448.Ed448PrivateKey.generate(), "of another kind"),
        ("locked", "is protected by a password"),
        ("public", "is no private key"),
    ],
    ids=["empty", "cut", "noise", "RSA", "EC", "Ed448", "locked", "public"],
)
def test_a_key_that_cannot_be_used_is_named(tmp_path: Path, content, reason: str) -> None:
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    own = Ed25519PrivateKey.generate()
    if content == "locked":
        locked = serialization.BestAvailableEncryption(b"x")
        content = own.private_bytes(pem, pkcs8, locked)
    elif content == "public":
        info = serialization.PublicFormat.SubjectPublicKeyInfo
        content = own.public_key().public_bytes(pem, info)
    elif not isinstance(content, bytes):
        content = content.private_bytes(pem, pkcs8, serialization.NoEncryption())
    file = tmp_path / "key.pem"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(SignatureError, match=reason) as caught:
        read_key(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_a_key_that_others_can_read_is_not_used(key: Path) -> None:
    key.chmod(0o644)
    with pytest.raises(SignatureError, match="others can read or change this private key"):
        read_key(key)


@pytest.mark.parametrize(
    "public",
    ["", "no key", "AAAA", base64.b64encode(bytes(32)).decode(), "A" * 10_000,
     base64.b64encode(b"x" * 31).decode(), base64.b64encode(b"x" * 64).decode()],
)  # fmt: skip
def test_settings_refuse_what_is_no_public_key(monkeypatch, public: str) -> None:
    monkeypatch.setenv("DEFECTVISION_TRUSTED_KEYS", json.dumps({"plant": public}))
    with pytest.raises(SettingsError, match="DEFECTVISION_TRUSTED_KEYS: key 1 of 1 is no public"):
        settings()


def test_the_commands_load_what_is_trusted_alone(weights: Path, key: Path, monkeypatch) -> None:
    trusted = signed(weights, key)
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(weights))
    monkeypatch.setenv("DEFECTVISION_TRUSTED_KEYS", json.dumps(dict(trusted)))
    settings.cache_clear()
    status, said = command("lines", "--json")
    rows = {row["bundle"]: row for row in json.loads(said)}
    assert status == 1
    assert rows["resnet50"]["signed"] == "by plant"
    assert "signature.json: is missing" in rows["second"]["error"]


def test_openssl_reads_the_key_and_agrees_on_the_signature(
    weights: Path, key: Path, tmp_path: Path
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    signed(weights, key)
    covered = load_bundle(weights, "casting", "resnet50").covered
    (tmp_path / "message").write_text(f"DefectVision bundle 1 {covered}")
    content = json.loads((weights / "casting" / "resnet50" / "signature.json").read_text())
    (tmp_path / "signature").write_bytes(base64.b64decode(content["signature"]))
    done = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-rawin", "-inkey", key, "-in", tmp_path / "message",
         "-sigfile", tmp_path / "signature"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
