"""Good parts that were stopped join what a bundle from good parts remembers: another version of it,
beside the one that stopped them, and compared with it on the parts that people decided on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from secrets import token_hex

from defectvision.batch.evaluating import anew
from defectvision.batch.remembered import Part, Remembered
from defectvision.batch.sources import read_again
from defectvision.bundle import writer
from defectvision.bundle.card import write_card
from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.reader import BundleError, load_bundle
from defectvision.bundle.schema import LoadedBundle, Metrics
from defectvision.data.catalog import Catalog, catalog_table
from defectvision.data.image_set import ImageSet
from defectvision.evaluation.answers import Answers
from defectvision.evaluation.evaluate import labelled, measured
from defectvision.evaluation.promise import ESCAPES_UNKNOWN
from defectvision.inference.images import ImageError
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import Inspector, inspector_of
from defectvision.inference.judged import Judged
from defectvision.inference.trial import try_bundle
from defectvision.limits import Limits
from defectvision.people import Action, Person, needs
from defectvision.store.bundles import STAGED, clear_staged, unwritable
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.evaluations import Reviewed
from defectvision.store.grown_bundle import GROWN, Photograph, next_name, write_grown
from defectvision.store.policies import in_force
from defectvision.store.reviewed import reviewed_images, truth_of
from defectvision.store.stored import StoredInspection
from defectvision.store.tables import AuditRow, BatchRow, InspectionRow
from defectvision.words import counted

REMEMBERED = "good parts remembered"
MOST_COMPARED = 200  # parts that people decided on, good and defective ones each, the newest
Advance = Callable[[int, int], None]
Found = tuple[InspectionRow, BatchRow]


@needs(Action.TEACH)
def remember_parts(
    store: Store,
    base: LoadedBundle,
    inspections: Sequence[int],
    who: Person,
    limits: Limits,
    advance: Advance = lambda done, total: None,
) -> Remembered:
    """Make the version of `base` that remembers the good parts of these inspections too, compare
    both on the parts that people decided on, and put it among the line's bundles; it is in force
    for nobody. Told in the audit trail.

    Raises StoreError for a part that nobody has accepted or whose picture is gone, ImageError for
    one that cannot be read, BundleError where the bundle remembers no good parts or nothing is to
    be added, and where it cannot be written.
    """
    line, weights = base.line, base.folder.parents[1]
    chosen = _accepted(store, line.name, inspections)
    photographs = [_photograph(store, row, batch) for row, batch in chosen]
    with store.reading() as session:
        kept = in_force(session, line.name, base.bundle.name, base.bundle.policy)
    policy = base.bundle.policy if kept.outdated is not None else kept.policy
    name = next_name(base.folder.parent, base.bundle.name)
    staged = weights / f"{STAGED}{token_hex(4)}"
    try:
        clear_staged(weights)
        fresh = staged / line.name / name
        fresh.parent.mkdir(parents=True)
        places = write_grown(base, photographs, fresh, policy, limits.pixels)
        writer.write_line(staged / line.name, line)
        try_bundle(staged, line.name, name)
        grown = Inspector(load_bundle(staged, line.name, name), limits.pixels)
        before, asked = inspector_of(base, limits), (*chosen, *_known(store, line.name, chosen))
        pairs = _compared(store, before, grown, asked, advance)
        parts = tuple(
            _part(asked[place][0], place < len(chosen), pair, policy)
            for place, pair in pairs.items()
        )
        found = Remembered(grown.loaded, base.bundle.name, places, parts)
        _tell(fresh, found, _figures(grown, asked, pairs, len(chosen), policy))
        details = {
            "bundle": name,
            "from": f"{base.bundle.name}, version {base.version}",
            "parts": [row.name for row, _ in chosen],
            "places": places,
            "warnings": found.warnings,
        }
        with store.session() as session:
            told = AuditRow(who=who.kept_as, what=REMEMBERED, line=line.name, details=details)
            session.add(told)
            session.flush()
            try:
                writer.add(fresh, base.folder.parent, line, name)
            except FileExistsError as error:
                raise BundleError(
                    f"{name} was made by somebody else at the same moment. Remember the part again"
                ) from error
    except OSError as error:
        raise unwritable(weights, error) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return replace(found, bundle=load_bundle(weights, line.name, name))


def _accepted(store: Store, line: str, inspections: Sequence[int]) -> list[Found]:
    found: list[Found] = []
    with store.reading() as session:
        for number in dict.fromkeys(inspections):
            row = session.get(InspectionRow, number)
            batch = session.get(BatchRow, row.batch_id) if row is not None else None
            if row is None or batch is None or batch.line != line:
                raise StoreError(f"inspection {number} is none of line '{line}'")
            if row.decision != Verdict.ACCEPT.value:
                raise StoreError(
                    f"{row.name}: nobody has decided that it is a good part. Accept it first"
                )
            found.append((row, batch))
    if not found:
        raise StoreError("no part was named that is to be remembered")
    return found


def _photograph(store: Store, row: InspectionRow, batch: BatchRow) -> Photograph:
    if not row.path and not row.stored:
        raise StoreError(f"{row.name}: its picture was not kept, so it cannot be remembered")
    try:
        data = read_again(row, batch.source, store.files)
    except OSError as error:
        raise StoreError(f"{row.name}: cannot be read ({error.strerror or error})") from error
    said = {"name": row.name, "inspection": row.id, "decided_by": row.decided_by}
    return Photograph(row.name, data, said)


def _known(store: Store, line: str, besides: Sequence[Found]) -> list[Found]:
    """The newest parts of the line that people decided on, MOST_COMPARED of each kind."""
    chosen = {row.id for row, _ in besides} | {row.digest for row, _ in besides}
    with store.reading() as session:
        rows = reviewed_images(session, line, Reviewed())
    found: dict[str, list[Found]] = {
        verdict.value: [] for verdict in (Verdict.ACCEPT, Verdict.REJECT)
    }
    for row, batch in reversed(rows):
        if row.id not in chosen and row.digest not in chosen:
            found[row.decision].append((row, batch))
    return [one for kind in found.values() for one in kind[:MOST_COMPARED]]


def _compared(
    store: Store, before: Inspector, after: Inspector, asked: Sequence[Found], advance: Advance
) -> dict[int, tuple[Judged, Inspection]]:
    """What both versions say of each part, by its place; those whose picture is gone or damaged
    are left out."""
    loaded, failures = before.loaded, list[ImageError]()
    known: dict[int, Judged] = {
        place: StoredInspection(row, loaded.line, batch, store.files)
        for place, (row, batch) in enumerate(asked)
        if loaded.is_version(row.bundle_version)
    }
    again = [place for place in range(len(asked)) if place not in known]
    total, done, both = len(again) + len(asked), count(1), {}
    for place, answer in anew(store, before, asked, again, failures):
        advance(next(done), total)
        if not isinstance(answer, ImageError):
            known[place] = answer
    for place, answer in anew(store, after, asked, list(known), failures):
        advance(next(done), total)
        if not isinstance(answer, ImageError):
            both[place] = known[place], answer
    return dict(sorted(both.items()))


def _part(
    row: InspectionRow, joined: bool, pair: tuple[Judged, Inspection], policy: Policy
) -> Part:
    before, after = pair
    return Part(
        row.name,
        row.decision == Verdict.ACCEPT.value,
        joined,
        before.defect_score or 0.0,
        after.defect_score or 0.0,
        before.verdict(policy),
        after.verdict(policy),
    )


def _figures(
    grown: Inspector,
    asked: Sequence[Found],
    pairs: dict[int, tuple[Judged, Inspection]],
    joined: int,
    policy: Policy,
) -> Metrics | None:
    """What the new version does with the parts that it did not learn from; None without any."""
    line, rows = grown.line, [place for place in pairs if place >= joined]
    if not rows:
        return None
    table = {
        "path": [f"{asked[place][1].id}/{asked[place][0].name}" for place in rows],
        "label": [truth_of(asked[place][0], line) for place in rows],
    }
    catalog = Catalog(Path(), catalog_table(table), "reviewed images")
    images = ImageSet(replace(catalog, table=labelled(catalog, line).table))
    answers = Answers(images.catalog, line, grown.loaded.bundle, policy)
    for row, place in enumerate(rows):
        answers.add(row, pairs[place][1], images)
    said = f"parts that people decided on, the newest {MOST_COMPARED} good and defective ones"
    return measured([answers], split=said).metrics


def _tell(folder: Path, found: Remembered, figures: Metrics | None) -> None:
    """Write into the new version what was measured, and what its users must know first."""
    about = found.bundle.bundle
    grown = about.provenance[GROWN]
    parts = sum(len(version["parts"]) for version in grown)
    trained = grown[0]["caution"]
    if found.defective:  # some are at hand by now, and what becomes of them is said below
        trained = trained.replace(f" {ESCAPES_UNKNOWN}", "")
    said = [
        trained,
        f"**Since then {counted(parts, 'good part')} joined from review.** The limit is as it was:"
        " no more good parts are stopped than was promised, and more defective ones may pass.",
        found.words,
        *(f"**{words}**" for words in found.warnings),
    ]
    recipe = about.provenance["recipe"] | {"caution": " ".join(filter(None, said))}
    about = about.model_copy(
        update={
            "metrics": () if figures is None else (figures,),
            "provenance": about.provenance | {"recipe": recipe},
        }
    )
    writer.write_about(folder, about)
    write_card(folder, about)
