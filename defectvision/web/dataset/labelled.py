"""The sets of the Label page as folders, for what opens folders."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy.exc import SQLAlchemyError

from defectvision.report.taught_set import Labelled, write_folder
from defectvision.roots import NotAllowedError
from defectvision.settings import settings, the_store
from defectvision.store.errors import StoreError
from defectvision.store.labelling import every_set, get_set
from defectvision.web.export_menu import file_stem

FOLDER = "labelled sets"  # of the cache
LONGEST = 18  # digits of a set's number
STALE_SECONDS = 7 * 24 * 3600  # since anybody opened a folder that was written


def labelled_sets() -> dict[str, str]:
    """Titles of the sets in use by their numbers, the newest first; none where the store cannot be
    read, which keeps nobody from opening a folder."""
    try:
        with the_store().reading() as session:
            return {str(row.id): row.title for row in every_set(session)}
    except (StoreError, SQLAlchemyError):
        return {}


def title_of(number: str) -> str:
    """Raises NotAllowedError where there is no set of that number."""
    try:
        with the_store().reading() as session:
            return get_set(session, _whole(number)).title
    except StoreError as error:
        raise _no_such(number) from error


def folder_of(number: str) -> Path:
    """A folder with what is labelled of a set now, as a bundle is trained from: written once for
    all who open it, and each time where files are lost, which may come back. What nobody opened for
    STALE_SECONDS is taken away. Raises NotAllowedError where there is nothing to open, and
    OSError."""
    try:
        labelled = Labelled.of(the_store(), _whole(number))
    except StoreError as error:
        raise _no_such(number) from error
    title = title_of(number)
    if not labelled.rows:
        raise NotAllowedError(title, "nothing of it is labelled yet", "Label its images first.")
    said = [[row.name, row.digest, row.label, row.masks, row.part] for row in labelled.rows]
    content = json.dumps([labelled.line.model_dump(mode="json"), said]).encode()
    place = settings().cache / FOLDER / f"{number}-{hashlib.sha256(content).hexdigest()[:16]}"
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        _tidy(place.parent)
        with TemporaryDirectory(dir=place.parent) as beside:
            if write_folder(labelled, Path(beside) / "made" / file_stem(title)):
                place = place.with_name(f"{place.name}-{secrets.token_hex(4)}")
            try:
                (Path(beside) / "made").rename(place)
            except OSError:  # another session was faster
                if not place.is_dir():
                    raise
    place.touch()
    return place / file_stem(title)


def _tidy(folder: Path) -> None:
    """Take away what nobody opened for long, and what a kill left."""
    for place in folder.iterdir():
        try:
            if time.time() - place.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(place, ignore_errors=True)
        except FileNotFoundError:  # by another session
            continue


def _whole(number: str) -> int:
    if not number.isdecimal() or len(number) > LONGEST:
        raise _no_such(number[:LONGEST])
    return int(number)


def _no_such(number: str) -> NotAllowedError:
    return NotAllowedError(number, "there is no labelled set of this number", "Choose one below.")
