"""Which bundle of a line is the default, and bundles that come and go as zip files: each with a
line in the audit trail.

The default stands in the line's own file, where whoever names no bundle looks: pages, API, batches
and command line, of every server on the same folder. It is no part of what a bundle's version and
signature cover.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from sqlalchemy import select
from sqlalchemy.orm import Session

from defectvision.bundle import writer
from defectvision.bundle.card import write_card
from defectvision.bundle.line import NAME, Line
from defectvision.bundle.reader import BundleError, Trusted, load_bundle, read_line
from defectvision.bundle.schema import (
    ABOUT_FILE,
    LINE_FILE,
    SIGNATURE_FILE,
    Bundle,
    LoadedBundle,
)
from defectvision.inference.parcel import ParcelError, pack, unpack
from defectvision.inference.trial import try_bundle
from defectvision.people import Action, Person, needs
from defectvision.store.database import Store
from defectvision.store.tables import AuditRow

SWITCHED, IMPORTED, EXPORTED = "default bundle switched", "bundle imported", "bundle exported"

STAGED = ".import-"  # begins the name of a folder in which a bundle is looked at
LEFT_SECONDS = 3600.0


@dataclass(frozen=True)
class Switch:
    """The default bundle of a line was `before`, and `after` from then on."""

    before: str
    after: str
    who: str
    why: str
    at: datetime


def switches(session: Session, line: str, most: int = 50) -> list[Switch]:
    """How the default of a line was switched, the newest first."""
    rows = session.scalars(
        select(AuditRow)
        .where(AuditRow.what == SWITCHED, AuditRow.line == line)
        .order_by(AuditRow.id.desc())
        .limit(most)
    )
    return [
        Switch(row.details["before"], row.details["after"], row.who, row.details["why"], row.at)
        for row in rows
    ]


def way_back(known: Sequence[Switch], now: str) -> Switch | None:
    """The switch to take back, newest first: that by which `now` became the default of what was
    one before it; None where there is none, or what was put there by hand is in force."""
    return known[0] if known and known[0].after == now else None


@needs(Action.POLICY)
def switch_default(
    store: Store,
    weights: Path,
    line: str,
    bundle: str,
    who: Person,
    why: str,
    before: str,
    trusted: Trusted = (),
) -> None:
    """Make `bundle` the default of its line in place of `before`, with a line in the audit trail.
    Raises BundleError where it cannot be used, or another is the default meanwhile."""
    loaded = load_bundle(weights, line, bundle, trusted)
    folder = weights / line
    with writer.alone(folder):
        about = read_line(folder)
        if about.default_bundle != before:
            raise BundleError(
                f"{folder / LINE_FILE}: the default is '{about.default_bundle}' by now, not "
                f"'{before}'. Look at who switched it, and why, before you switch it again"
            )
        if bundle == before:
            raise BundleError(f"'{bundle}' is the default of line '{line}' already")
        details = {"before": before, "after": bundle, "version": loaded.version, "why": why}
        written = False
        try:
            with store.session() as session:
                session.add(AuditRow(who=who.kept_as, what=SWITCHED, line=line, details=details))
                session.flush()
                writer.write_line(folder, about.model_copy(update={"default_bundle": bundle}))
                written = True
        except BaseException as error:
            if written:  # nobody would know who did it
                writer.write_line(folder, about)
            if isinstance(error, OSError):
                raise unwritable(folder, error) from error
            raise


@needs(Action.TEACH)
def export_bundle(store: Store, loaded: LoadedBundle, who: Person) -> bytes:
    """The zip file of a bundle; told in the audit trail. Raises OSError."""
    content = pack(loaded)
    details = {"bundle": loaded.bundle.name, "version": loaded.version}
    with store.session() as session:
        session.add(
            AuditRow(who=who.kept_as, what=EXPORTED, line=loaded.line.name, details=details)
        )
    return content


@needs(Action.TEACH)
def import_bundle(
    store: Store,
    file: BinaryIO,
    weights: Path,
    who: Person,
    name: str = "",
    trusted: Trusted = (),
) -> LoadedBundle:
    """Take a bundle out of a zip file: checked whole and tried on a test picture before it stands
    among the others, under `name` or, where that is empty, its own. It replaces none, and is no
    default but of a line that comes with it. Told in the audit trail.

    Raises ParcelError for what is no zip file of one bundle, BundleError for what cannot be used.
    """
    staged = weights / f"{STAGED}{token_hex(4)}"
    try:
        clear_staged(weights)
        told, own = unpack(file, staged)
        line = _line(told, weights, own)
        chosen = name or own
        if not NAME.fullmatch(chosen):
            raise ParcelError(
                f"'{chosen}' cannot be a bundle's name: lowercase letters, digits, '_', '.', '-'"
            )
        if (weights / line.name / chosen).exists():
            raise ParcelError(_taken(line.name, chosen))
        writer.write_line(staged / line.name, line)
        if chosen != own:
            load_bundle(staged, line.name, own)  # whole, before its name is written into it
            _rename(staged / line.name, own, chosen, trusted)
        load_bundle(staged, line.name, chosen, trusted)
        try_bundle(staged, line.name, chosen)
        details = {"bundle": chosen, "named": own if chosen != own else ""}
        with store.session() as session:
            fresh, folder = staged / line.name / chosen, weights / line.name
            row = AuditRow(who=who.kept_as, what=IMPORTED, line=line.name, details=details)
            session.add(row)
            session.flush()
            try:
                writer.add(fresh, folder, line, chosen)
            except FileExistsError as error:
                raise ParcelError(_taken(line.name, chosen)) from error
            loaded = load_bundle(weights, line.name, chosen, trusted)
            row.details = {**details, "version": loaded.version, "signed": loaded.signed}
        return loaded
    except BundleError as error:  # by the names that it was given with, not those of the trial
        words = str(error).replace(f"{staged.absolute()}/", "").replace(f"{staged}/", "")
        raise BundleError(words) from error
    except OSError as error:
        raise unwritable(weights, error) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def clear_staged(weights: Path) -> None:
    """Remove what imports left that were cut off."""
    for left in weights.glob(f"{STAGED}*"):
        if time.time() - left.stat().st_mtime > LEFT_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def _line(told: Line, weights: Path, bundle: str) -> Line:
    """The line that a bundle comes to: the one that is there, with what the bundle's own names
    besides, else its own. Raises ParcelError and BundleError."""
    folder = weights / told.name
    if not (folder / LINE_FILE).is_file():
        return told.model_copy(update={"default_bundle": bundle})
    here = read_line(folder)
    if (joined := here.joined(told)) is None:
        raise ParcelError(
            f"is of a line '{told.name}' with {_classes(told)}; the line of that name here has "
            f"{_classes(here)}. A bundle fits only the classes that it learned"
        )
    return joined


def _classes(line: Line) -> str:
    kinds = {"ok": "good", "defect": "defect"}
    words = ", ".join(f"{c.name} ({kinds[c.kind]})" for c in line.classes)
    bits = f", {line.bits} bits" if line.bits else ""
    return f"the classes {words}, {line.label_mode}{bits}"


def _taken(line: str, name: str) -> str:
    return f"line '{line}' has a bundle '{name}' already, and none is replaced. Give another name"


def _rename(folder: Path, own: str, name: str, trusted: Trusted) -> None:
    """Let an unpacked bundle be another one's name; its signature is of the first."""
    signature = folder / own / SIGNATURE_FILE
    if trusted and signature.is_file():
        raise ParcelError(
            f"is signed as '{own}', and under another name the signature does not hold. Import it "
            f"as '{own}', or have it signed again"
        )
    signature.unlink(missing_ok=True)
    fresh = (folder / own).rename(folder / name)
    about = Bundle.model_validate_json((fresh / ABOUT_FILE).read_bytes())
    about = about.model_copy(update={"name": name})
    writer.write_about(fresh, about)
    with suppress(KeyError, TypeError):  # made elsewhere, it may tell less: its card stays
        write_card(fresh, about)


def unwritable(folder: Path, error: OSError) -> BundleError:
    return BundleError(
        f"{error.filename or folder}: cannot be written ({error.strerror or error}). Let the "
        "program write there, or do it where it may"
    )
