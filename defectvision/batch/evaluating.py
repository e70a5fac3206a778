"""Work on an evaluation: inspect its images, or read what was inspected, and keep the answers."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np

from defectvision.audit.forecast import Progress, Step
from defectvision.audit.study import open_grouped
from defectvision.batch.sources import read_again
from defectvision.batch.watch import AwayError
from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import LoadedBundle, Metrics
from defectvision.data.catalog import Catalog, CatalogError, catalog_table
from defectvision.data.image_set import ImageSet
from defectvision.evaluation.answers import Answers, inspected
from defectvision.evaluation.evaluate import (
    NAME_GOOD,
    labelled,
    measured,
    taken_for_deviations,
)
from defectvision.evaluation.keeping import figures_of, keep_answers
from defectvision.evaluation.kept import UNSEEN, EvaluationError, Kept, Seen
from defectvision.evaluation.seen import DIGITS, SAME_IMAGE, digests_of, how_seen, in_words
from defectvision.inference.images import ImageError
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import Inspector, load_inspector
from defectvision.inference.labelled_images import left_out
from defectvision.inference.sources import unreadable
from defectvision.limits import Limits
from defectvision.store import evaluations
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.evaluations import Alive, CancelledError, LabelledSet, Reviewed
from defectvision.store.policies import in_force
from defectvision.store.reviewed import reviewed_images, truth_of
from defectvision.store.stored import StoredInspection
from defectvision.store.tables import BatchRow, InspectionRow

log = logging.getLogger(__name__)
Advance = Callable[[int, int], None]  # how many images are done, of how many


def _ignore(*_: object) -> None:
    pass


def evaluate_set(
    inspector: Inspector,
    source: LabelledSet,
    policy: Policy,
    cache: Path,
    *,
    advance: Advance = _ignore,
    tell: Callable[[Progress], None] = _ignore,
    note: Callable[[str], None] = _ignore,
    said: str = "",
) -> tuple[Kept, Metrics]:
    """Ask the bundle about a labelled set; returns the evaluation, whose figures are of the images
    that the bundle did not learn from where there are any, and the figures of all images. tell: how
    far the look for near-copies is; note: how many images the bundle learned from, and which labels
    its line does not know; said: what the images are, for the figures. Raises CatalogError,
    EvaluationError and OSError."""
    limit, bits = inspector.limit_pixels, inspector.line.bits
    images = open_grouped(Path(source.path), cache, limit, tell, bits=bits, good=source.good)
    if source.split:
        images = images.subset(source.split)
    seen = _how_seen(images, inspector.loaded.folder, tell)
    if any(one != UNSEEN for one in seen):
        note(f"{in_words(seen)}; {'included' if source.seen else 'left out'}")
    if not source.seen:
        rows = np.flatnonzero([one == UNSEEN for one in seen])
        if not len(rows):
            raise EvaluationError(
                f"{source.path}: the bundle learned from all of these images. Give images that it "
                "has not seen, or add --include-seen to measure its memory"
            )
        images, seen = images.take(rows), [UNSEEN] * len(rows)
    if unknown := taken_for_deviations(images.catalog, inspector.line):
        note(f"{unknown}. {NAME_GOOD}")
    answers = Answers(
        labelled(images.catalog, inspector.line), inspector.line, inspector.loaded.bundle, policy
    )
    total = len(images.catalog)
    advance(0, total)
    for done, (row, answer) in enumerate(inspected(inspector, images), 1):
        answers.add(row, answer, images)
        advance(done, total)
    answers.failures[:0] = left_out(images)
    _check_some(answers, source.path)
    said = said or (f"{source.split} split" if source.split else "given images")
    kept, metrics = _kept(answers, inspector.loaded.version, source.words, said, seen)
    about = kept.about.model_copy(update={"unknown": unknown})
    return replace(kept, about=about), metrics


def _how_seen(images: ImageSet, folder: Path, tell: Callable[[Progress], None]) -> list[Seen]:
    total, done = len(images.catalog), count(1)

    def advance() -> None:
        number = next(done)
        tell(Progress(Step.KNOWN, number, total, number / total))

    return how_seen(images, folder, advance)


def evaluate_reviewed(
    store: Store,
    inspector: Inspector,
    source: Reviewed,
    policy: Policy,
    *,
    advance: Advance = _ignore,
    note: Callable[[str], None] = _ignore,
) -> Kept:
    """What the bundle says of images that people decided on. Those that it inspected itself are
    not inspected again; the others are where their picture is still kept, and count as failures
    where it is not. Each file is its own photo group, and one that the bundle learned from is known
    by its content; note: how many. Raises EvaluationError and StoreError."""
    line, loaded = inspector.line, inspector.loaded
    with store.reading() as session:
        found = reviewed_images(session, line.name, source)
    said: list[tuple[InspectionRow, BatchRow]] = []
    labels: list[str] = []
    failures: list[ImageError] = []
    for row, batch in found:
        try:
            labels.append(truth_of(row, line))
        except StoreError as error:
            failures.append(ImageError(row.name, str(error), "Decide on it again."))
            continue
        said.append((row, batch))
    if not said:
        raise EvaluationError(
            f"{source.words}: nobody has decided on any of line '{line.name}'. Review some first"
        )
    names = [f"{batch.id}/{row.name}" for row, batch in said]
    table = catalog_table({"path": names, "label": labels})
    catalog = Catalog(Path(), table, source.words)
    answers = Answers(labelled(catalog, line), line, loaded.bundle, policy)
    images, total = ImageSet(catalog), len(said)
    again: list[int] = []
    advance(0, total)
    for place, (row, batch) in enumerate(said):
        names_of = set(row.probabilities or {})
        if not loaded.is_version(row.bundle_version) or names_of != set(line.class_names):
            again.append(place)
            continue
        stored = StoredInspection(row, line, batch, store.files)
        answers.add_judged(place, stored, stored.known_regions(policy))
        advance(place + 1 - len(again), total)
    for done, (place, answer) in enumerate(anew(store, inspector, said, again, failures)):
        answers.add(place, answer, images)
        advance(total - len(again) + done + 1, total)
    answers.failures += failures
    _check_some(answers, source.words)
    known = digests_of(loaded.folder)
    seen: list[Seen] = [
        SAME_IMAGE if (row.digest or "")[:DIGITS] in known else UNSEEN for row, _ in said
    ]
    if any(one != UNSEEN for one in seen):
        note(f"{in_words(seen)}; not among the figures where others are there")
    kept, _ = _kept(answers, loaded.version, source.words, source.words, seen)
    rows = [said[place][0] for place in answers.rows]
    about = kept.about.model_copy(update={"root": ""})
    images_of = kept.images.assign(
        digest=[row.digest or "" for row in rows],
        inspection=[row.id for row in rows],
        decided_by=[row.decided_by for row in rows],
    )
    return replace(kept, about=about, images=images_of)


def anew(
    store: Store,
    inspector: Inspector,
    said: Sequence[tuple[InspectionRow, BatchRow]],
    places: Sequence[int],
    failures: list[ImageError],
) -> Iterator[tuple[int, Inspection | ImageError]]:
    """Each of the images at `places` with its new answer; what cannot be read is a failure."""
    read: deque[int] = deque()

    def files() -> Iterator[tuple[str, bytes]]:
        for place in places:
            row, batch = said[place]
            if not row.path and not row.stored:
                remedy = "Inspect it again, or evaluate the bundle that inspected it."
                failures.append(ImageError(row.name, "its picture was not kept", remedy))
                continue
            try:
                data = read_again(row, batch.source, store.files)
            except ImageError as error:
                failures.append(error)
                continue
            except (OSError, AwayError) as error:
                failures.append(unreadable(row.name, OSError(str(error))))
                continue
            read.append(place)
            yield row.name, data

    for answer in inspector.inspect_many(files()):
        yield read.popleft(), answer


def _check_some(answers: Answers, where: str) -> None:
    if not answers.rows:
        first = next(iter(answers.failures), "there is none")
        raise EvaluationError(f"{where}: none of its images could be evaluated. The first: {first}")


def _kept(
    answers: Answers, version: str, data: str, said: str, seen: list[Seen]
) -> tuple[Kept, Metrics]:
    of_answers = [seen[row] for row in answers.rows]
    some = any(one != UNSEEN for one in of_answers)
    mixed = some and any(one == UNSEEN for one in of_answers)
    metrics = measured([answers], split=said, seen=some).metrics
    kept = keep_answers(
        answers, metrics, version=version, data=data, seen=seen, failures=answers.failures
    )
    if not mixed:
        return kept, metrics
    figures = figures_of(kept.take(kept.unseen), f"{said}, those that it has not seen")
    about = kept.about.model_copy(update={"metrics": figures})
    return replace(kept, about=about), metrics


def policy_of(store: Store, loaded: LoadedBundle) -> Policy:
    """The policy that is in force for a bundle."""
    with store.reading() as session:
        own = loaded.bundle.policy
        return in_force(session, loaded.line.name, loaded.bundle.name, own).policy


def work_on(
    store: Store,
    weights: Path,
    limits: Limits,
    cache: Path,
    number: int,
    advance: Advance = _ignore,
) -> Kept | None:
    """Work on evaluation `number`, which is running, to its end, which is kept with it, be it that
    it fails. Returns what was found; None where it failed or nobody wants it any more."""
    with store.reading() as session:
        row = evaluations.get_evaluation(session, number)
        source = evaluations.source_of(row)
    with Alive(store, number) as beating:

        def on(done: int, total: int) -> None:
            beating.say(done, total)
            advance(done, total)

        try:
            inspector = load_inspector(weights, row.line, row.bundle, limits)
            if inspector.loaded.version != row.bundle_version:
                raise EvaluationError(
                    f"bundle {row.bundle} was replaced since this evaluation was asked for. Start "
                    "another one"
                )
            policy = policy_of(store, inspector.loaded)
            if isinstance(source, LabelledSet):
                kept, _ = evaluate_set(
                    inspector, source, policy, cache, advance=on, tell=lambda _: beating.check()
                )
            else:
                kept = evaluate_reviewed(store, inspector, source, policy, advance=on)
            evaluations.finish(store, number, kept)
            return kept
        except CancelledError:
            return None
        except (EvaluationError, CatalogError, StoreError, BundleError, OSError) as error:
            why = str(error)
        except Exception as error:  # a fault of ours must not leave a page that waits for ever
            log.exception("evaluation %d", number)
            why = f"{type(error).__name__}: {error}. The server's log says more"
    with store.session() as session:
        evaluations.fail(session, number, why)
    return None
