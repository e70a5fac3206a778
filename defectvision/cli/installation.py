"""What `defectvision doctor` looks at on the machine: program, settings, bundles, folders, port."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import socket
import stat
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from defectvision.atomic import check_folder
from defectvision.batch.deadline import within
from defectvision.bundle.reader import (
    BundleError,
    Trusted,
    find_lines,
    list_bundles,
    load_bundle,
)
from defectvision.finding import Condition, Finding
from defectvision.settings import ROOT, Settings
from defectvision.web.door.start import cannot_start
from defectvision.words import counted

ANSWER_SECONDS = 5.0  # that a share may take
OLDEST_PYTHON = (3, 11)
PINNED = "requirements-serve.txt"
OTHERS = {"DEFECTVISION_TESTS"}  # variables that are no setting
OK, ATTENTION, BROKEN = Condition


def program() -> Iterator[Finding]:
    """Python and the pinned packages."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= OLDEST_PYTHON:
        yield Finding("python", words=f"Python {version}")
    else:
        yield Finding(
            "python", BROKEN, f"Python {version}", "Install 3.11 or newer; make clean run"
        )
    pinned = ROOT / PINNED
    if not pinned.is_file():
        yield Finding("packages", ATTENTION, f"{pinned}: is missing", "Install the project again")
        return
    wrong = [*_wrong_packages(pinned.read_text(encoding="utf-8"))]
    remedy = f"{sys.executable} -m pip install -r {pinned}"
    if wrong:
        missing = any(one.endswith("is missing") for one in wrong)
        yield Finding("packages", BROKEN if missing else ATTENTION, "; ".join(wrong), remedy)
    else:
        yield Finding("packages", words=f"all as {PINNED} pins them")


def _wrong_packages(pinned: str) -> Iterator[str]:
    for name, wanted in re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", pinned, re.M):
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield f"{name} {wanted} is missing"
        else:
            if found != wanted:
                yield f"{name} is {found} and not {wanted}"


def of_settings(about: Settings) -> Iterator[Finding]:
    """Settings that mean nothing, or not what they seem to together."""
    if said := cannot_start(about.address, about):
        yield Finding(
            "settings", BROKEN, f"the server refuses to start: {said}", "See docs/access.md"
        )
        return
    known = {f"DEFECTVISION_{name.upper()}" for name in Settings.model_fields} | OTHERS
    unknown = sorted(name for name in os.environ if name.startswith("DEFECTVISION_"))
    odd = [f"{name} is no setting" for name in unknown if name not in known]
    if about.database and not about.database.startswith("sqlite") and not about.files:
        odd.append(
            "DEFECTVISION_DATABASE is shared and DEFECTVISION_FILES is not set: the files lie on "
            "this machine alone"
        )
    for root in about.source_roots:
        inside = about.store.resolve().is_relative_to(root.expanduser().resolve())
        if inside:
            odd.append(f"the store lies below the source root {root}, where batches may read it")
    if odd:
        yield Finding("settings", ATTENTION, "; ".join(odd), "See docs/settings.md")
    else:
        yield Finding("settings", words="can be read, and none contradicts another")


def bundles(weights: Path, trusted: Trusted) -> Iterator[Finding]:
    """Each bundle of each line, read with all its weights, checked against its hashes
    and, where keys are trusted, its signature."""
    listed, whole = find_lines(weights), 0
    wrong = list(listed.problems.values())
    for line in listed.readable:
        for name in list_bundles(weights / line.name):
            try:
                load_bundle(weights, line.name, name, trusted)
                whole += 1
            except BundleError as error:
                wrong.append(str(error))
    remedy = "Put the folder back as it was delivered, or train the line again"
    if wrong:
        yield Finding("bundles", BROKEN, "; ".join(wrong), remedy)
    elif not whole:
        remedy = "Set DEFECTVISION_WEIGHTS, or train a line: defectvision train"
        yield Finding("bundles", BROKEN, f"{weights}: holds no line", remedy)
    else:
        yield Finding("bundles", words=f"{counted(whole, 'bundle')}, each as its hashes say")


def folders(about: Settings) -> Iterator[Finding]:
    """What may be read by batches, and who may read the store."""
    gone = []
    for root in (*about.source_roots, *about.data_sets.values()):
        try:
            is_there(root.expanduser())
        except OSError as error:
            gone.append(f"{root}: cannot be read ({error.strerror or error})")
    remedy = "Mount it, let the server's user read it, or take it out of the settings"
    if gone:
        yield Finding("source roots", BROKEN, "; ".join(gone), remedy)
    else:
        yield Finding("source roots", words=f"{counted(len(about.source_roots), 'folder')}")
    store = about.store
    try:
        check_folder(store)
    except ValueError as error:
        remedy = "Run this as the server's user, let it write there, or set DEFECTVISION_STORE"
        yield Finding("store folder", BROKEN, str(error), remedy)
        return
    if not store.exists():
        return
    owner, mode = store.stat().st_uid, stat.S_IMODE(store.stat().st_mode)
    if owner != os.geteuid():
        words = f"{store}: belongs to the user {owner}, not to this one"
        yield Finding("store folder", ATTENTION, words, "Run this as the server's user")
    elif mode & 0o007:
        words = f"{store}: others may look into it (mode {mode:o})"
        yield Finding("store folder", ATTENTION, words, f"chmod o= {store}")
    else:
        yield Finding("store folder", words=f"{store}: mode {mode:o}")


def is_there(path: Path) -> bool:
    """Whether a file or a folder is there and holds something. Raises OSError where a folder cannot
    be read, or does not answer, as a share that is dead."""
    if within(ANSWER_SECONDS, path.is_file):
        return True
    return within(ANSWER_SECONDS, lambda: next(path.iterdir(), None)) is not None


def port(about: Settings) -> Iterator[Finding]:
    """Whether the dashboard can listen, or does."""
    place = f"{about.address}:{about.port}"
    family = socket.AF_INET6 if ":" in about.address else socket.AF_INET
    try:
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((about.address, about.port))
    except OSError as error:
        if _is_ours(about):
            yield Finding("port", words=f"{place}: a server of this program answers")
            return
        remedy = "End the program that has it, or set DEFECTVISION_ADDRESS and DEFECTVISION_PORT"
        yield Finding("port", BROKEN, f"{place}: cannot be listened on ({error.strerror})", remedy)
    else:
        yield Finding("port", words=f"{place}: is free; no server runs there")


def _is_ours(about: Settings) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(about.address, about.address)
    try:
        with urllib.request.urlopen(
            f"http://{host}:{about.port}/api/v1/health", timeout=10
        ) as answer:
            said = answer.read(10_000)
    except urllib.error.HTTPError as error:  # it says so where something is broken
        said = error.read(10_000)
    except OSError:
        return False
    try:
        return "parts" in json.loads(said)
    except ValueError:
        return False
