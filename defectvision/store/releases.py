"""Versions of a lot's verdicts that somebody answers for: frozen, and never changed again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from defectvision import __version__
from defectvision.bundle.policy import Policy, PolicyInForce
from defectvision.people import Action, Person, needs
from defectvision.store.batches import ENDED, State, count_images, get_batch
from defectvision.store.errors import StoreError
from defectvision.store.tables import AuditRow, BatchRow, ReleaseFileRow, ReleaseRow, now
from defectvision.words import in_utc


@dataclass(frozen=True)
class MadeFile:
    """A file that a release keeps: what it is, how its name ends, its MIME type, and the SHA-256
    under which its bytes lie in the store."""

    title: str
    ending: str
    mime: str
    digest: str


def releases_of(session: Session, batch: int) -> list[ReleaseRow]:
    """All versions of a lot, the first one first."""
    return list(
        session.scalars(
            select(ReleaseRow).where(ReleaseRow.batch_id == batch).order_by(ReleaseRow.number)
        )
    )


def newest_versions(session: Session, batches: Iterable[int]) -> dict[int, int]:
    """The number of the newest version of each of these lots that has one."""
    rows = session.execute(
        select(ReleaseRow.batch_id, func.max(ReleaseRow.number))
        .where(ReleaseRow.batch_id.in_(list(batches)))
        .group_by(ReleaseRow.batch_id)
    )
    return {row[0]: row[1] for row in rows}


def files_of(session: Session, release: int) -> list[ReleaseFileRow]:
    """The files of one version, as they were made."""
    return list(
        session.scalars(
            select(ReleaseFileRow)
            .where(ReleaseFileRow.release_id == release)
            .order_by(ReleaseFileRow.id)
        )
    )


def frozen_policy(release: ReleaseRow) -> PolicyInForce:
    """The policy that a version's verdicts follow, whatever is in force today."""
    policy = Policy.model_validate(release.policy)
    return PolicyInForce(policy, frozen=f"{release.policy_words}, as released")


@needs(Action.RELEASE)
def begin(session: Session, batch: int, who: Person, why: str, title: str) -> ReleaseRow:
    """The next version of a lot, to be filled in and handed to `finish`.

    Raises StoreError where a name or a reason lacks, where the lot is not ended, or where an image
    of it is not inspected yet.
    """
    row = get_batch(session, batch)
    if not who.name or not why.strip():
        raise StoreError("a release needs a name and a reason: say who releases the lot, and why")
    if State(row.state) not in ENDED:
        raise StoreError(f"lot {batch} is {row.state}: it can be released when it has ended")
    if waiting := count_images(session, batch).waiting:
        raise StoreError(
            f"{waiting} images of lot {batch} are not inspected, as it was {row.state}. Start a "
            "batch with all of them"
        )
    versions = releases_of(session, batch)
    return ReleaseRow(
        batch_id=batch,
        number=len(versions) + 1,
        title=title.strip()[:200] or f"Version {len(versions) + 1}",
        who=who.kept_as,
        why=why.strip(),
        at=now(),
        program=__version__,
    )


def finish(session: Session, release: ReleaseRow, files: Collection[MadeFile]) -> None:
    """Keep a version with its files, with a line in the audit trail. Two who release at once: the
    second fails with IntegrityError."""
    session.add(release)
    session.flush()
    session.add_all(ReleaseFileRow(release_id=release.id, **vars(file)) for file in files)
    batch = get_batch(session, release.batch_id)
    details = {
        "batch": batch.id,
        "title": batch.title,
        "version": release.number,
        "why": release.why,
        "record": release.digest,
    }
    session.add(AuditRow(who=release.who, what="lot released", line=batch.line, details=details))
    session.flush()


def hold(session: Session, batch: int) -> None:
    """Let nobody decide on a part of the lot, release it or delete it before this session ends;
    whoever does so right now is waited for."""
    session.get(BatchRow, batch, with_for_update=True)


def refuse_released(session: Session, batch: int) -> None:
    """Raises StoreError where decisions on parts of the lot are frozen, or the lot is gone; whoever
    releases or deletes it right now is waited for, and nobody can before this session ends."""
    if session.get(BatchRow, batch, with_for_update={"read": True, "key_share": True}) is None:
        raise StoreError(
            f"lot {batch} was deleted meanwhile with all its parts, and nothing was decided: see "
            "the list of batches for what is there"
        )
    if versions := releases_of(session, batch):
        first = versions[0]
        raise StoreError(
            f"lot {batch} was released by {first.who} on {in_utc(first.at)}: its "
            "decisions stand. A later policy can judge it anew as another version"
        )


def release_of_file(
    session: Session, digest: str
) -> tuple[ReleaseFileRow, ReleaseRow, BatchRow] | None:
    """The released file of this SHA-256 with its version and its lot; None where there is none."""
    found = session.execute(
        select(ReleaseFileRow, ReleaseRow, BatchRow)
        .join(ReleaseRow, ReleaseRow.id == ReleaseFileRow.release_id)
        .join(BatchRow, BatchRow.id == ReleaseRow.batch_id)
        .where(ReleaseFileRow.digest == digest)
        .limit(1)
    ).first()
    return None if found is None else (found[0], found[1], found[2])
