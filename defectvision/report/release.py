"""Release a lot: verdicts frozen, report and tables made once and kept; check them later."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from defectvision import roots
from defectvision.bundle.policy import Policy, PolicyInForce
from defectvision.bundle.schema import LoadedBundle
from defectvision.people import Action, Person, needs
from defectvision.report.batch_export import Leaving
from defectvision.report.export import Format
from defectvision.report.lot_record import digest_of_record, record
from defectvision.report.lot_words import released_words
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.files import digest_of
from defectvision.store.releases import MadeFile, begin, files_of, finish, hold, release_of_file
from defectvision.store.results import Results
from defectvision.store.reviews import said_so_far
from defectvision.store.tables import ReleaseRow

# What is made with the release; other formats can be made from it at any time.
KEPT = ("PDF report", "CSV", "Excel", "JSON", "Record", "Regions as CSV")
UNSEEN = "somebody decided on a part meanwhile: look, and release again"


@needs(Action.RELEASE)
def release_lot(
    results: Results,
    loaded: LoadedBundle,
    policy: PolicyInForce,
    seen: int,
    limit_pixels: int,
    who: Person,
    why: str,
    title: str = "",
) -> ReleaseRow:
    """Freeze the verdicts of an ended lot under `policy` and the decisions of people, as its first
    version or, of a lot that is released already, as another one beside it.

    seen: `Results.said_so_far` from before the lot was looked at. Raises StoreError where
    `releases.begin` does, and where somebody decided since.
    """
    store, selection = results.store, results.selection(policy.policy)
    number = results.batch.id
    with store.reading() as session:
        release = begin(session, number, who, why, title)
        if said_so_far(session, number) != seen:
            raise StoreError(UNSEEN)
    leaving = Leaving(
        results,
        selection,
        policy.words,
        loaded,
        limit_pixels,
        released=released_words(release),
        printed=release.at,
    )
    made = {about.title: _kept(store, about) for about in leaving.formats() if about.title in KEPT}
    summary = results.summary(selection)
    release.policy = policy.policy.model_dump(mode="json")
    release.policy_words = policy.words
    release.counts = {verdict.value: count for verdict, count in summary.verdicts.items()}
    release.digest = made["Record"].digest
    # A large report takes a while, in which nobody is kept from writing.
    same = digest_of_record(leaving.record()) == release.digest
    with store.session() as session:
        hold(session, number)
        if not same or said_so_far(session, number) != seen:
            raise StoreError(UNSEEN)
        finish(session, release, made.values())
    return release


def released_formats(store: Store, release: ReleaseRow) -> list[Format]:
    """The files that were made with a release, byte for byte."""
    with store.reading() as session:
        rows = files_of(session, release.id)

    return [
        Format(row.title, row.ending, row.mime, partial(store.files.get, row.digest))
        for row in rows
    ]


@dataclass(frozen=True)
class Check:
    """What became of a file since its release. sound: whether it and the lot are unchanged."""

    sound: bool
    words: str


def check_file(store: Store, file: Path) -> Check:
    """Compare a file with what was released, and its lot with the record of then.

    Raises StoreError where the file cannot be read.
    """
    try:
        content = roots.content(file)
    except OSError as error:
        raise StoreError(f"{file}: cannot be read ({error.strerror})") from error
    with store.reading() as session:
        found = release_of_file(session, digest_of(content))
    if found is None:
        return Check(
            False,
            f"{file.name}: not as any released lot of this store left it. It was changed since, "
            "belongs to another store, or was exported without a release.",
        )
    row, release, batch = found
    about = f"{row.title} of lot {batch.id} ({batch.title}), released {released_words(release)}"
    results = Results.open(store, batch.id)
    selection = results.selection(Policy.model_validate(release.policy))
    today = digest_of_record(record(results, selection, results.every(selection)))
    if today != release.digest:
        return Check(
            False,
            f"{file.name}: the file is unchanged ({about}), but the lot in the database is not: "
            f"its record has the SHA-256 {today}, the released one {release.digest}.",
        )
    return Check(
        True,
        f"{file.name}: unchanged. {about}. The lot in the database gives the same record, SHA-256 "
        f"{release.digest}.",
    )


def _kept(store: Store, about: Format) -> MadeFile:
    content = about.make()
    data = content.encode() if isinstance(content, str) else content
    return MadeFile(about.title, about.ending, about.mime, store.files.put(data))
