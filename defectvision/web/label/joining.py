"""What joins a labelled set with its label: images that people reviewed, and the photographs of
good parts that its line was learned from."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from defectvision.bundle.labels import DEVIATION, is_good_label, label_names
from defectvision.inference.image_error import ImageError
from defectvision.people import Person
from defectvision.report.labelled_set import reviewed_images
from defectvision.roots import NotAllowedError, opened
from defectvision.store import labelling
from defectvision.store.database import Store
from defectvision.store.files import digest_of
from defectvision.store.labelling import Added, Given
from defectvision.store.results import Results
from defectvision.store.tables import LabelledSetRow
from defectvision.web.new_line.runs import Run, State, every_run

Advance = Callable[[int, int], None]
LEARNED = "index.csv"  # of a run's work: the images that it used, with their labels


@dataclass(frozen=True)
class GoodPhotographs:
    """Files below `folder` with the names that people know them by; those that lay far from the
    rest are none."""

    folder: Path
    names: dict[str, str]

    def files(self, refused: list[ImageError]) -> Iterator[Given]:
        """Their content; those that are gone join `refused`."""
        for path, name in self.names.items():
            try:
                with opened(self.folder / path, self.folder.resolve()) as data:
                    yield Given(name, data.read())
            except (NotAllowedError, OSError) as error:
                refused.append(ImageError(name, f"cannot be read ({error})", "Put it back."))


def good_photographs(runs: Path, line: str) -> GoodPhotographs | None:
    """Those of the newest run that learned the line from good parts; None where none is kept."""
    for run in every_run(runs):
        order = run.order()
        if order is None or order.line != line or order.labelled_set is not None:
            continue
        look = run.look()
        if look.state is State.DONE and look.outcome is not None:
            far = {suspect.path for suspect in look.outcome.suspects}
            return _of(run, far)
    return None


def _of(run: Run, without: set[str]) -> GoodPhotographs | None:
    known = run.photographs().names
    try:
        with (run.work / LEARNED).open(encoding="utf-8-sig", newline="") as file:
            paths = [row["path"] for row in csv.DictReader(file) if is_good_label(row["label"])]
    except (OSError, KeyError, UnicodeDecodeError, csv.Error):
        return None
    names = {path: known.get(Path(path).name, path) for path in paths if path not in without}
    often = Counter(names.values())
    names = {path: name if often[name] == 1 else path for path, name in names.items()}
    return GoodPhotographs(run.data, names) if names else None


def add_reviewed(
    store: Store, row: LabelledSetRow, batch: int, limit_pixels: int, who: Person
) -> Added:
    """Add those images of a batch that people decided on whose label the set has. Where it knows
    deviations, a defect that it does not name is one. An image that is in the set with another
    label keeps it and is named."""
    line = labelling.line_of_set(row)
    fitting: list[tuple[Given, tuple[str, ...]]] = []
    for name, data, label in reviewed_images(Results.open(store, batch)):
        names = label_names(label)
        if not set(names) <= set(line.class_names) and line.deviates:
            names = (DEVIATION,)
        if set(names) <= set(line.class_names):
            fitting.append((Given(name, data), names))
    given = [one for one, _ in fitting]
    added = labelling.add_images(store, row.id, given, limit_pixels, who)
    with store.reading() as session:
        there = {one.id: one for one in labelling.images_of(session, row.id)}
    differing = []
    for one, names in fitting:
        digest = digest_of(one.data)
        number = added.images.get(digest) or added.again.get(digest)
        if number is None:
            continue
        if digest in added.images or there[number].labelled is None:
            labelling.say(store, number, names, {}, who, f"review of batch {batch}")
            continue
        known = label_names(there[number].label)
        if set(known) != set(names):
            said = f"is in the set as {line.titles(known)}; the review says {line.titles(names)}"
            remedy = "Open it under Label and say which is right."
            differing.append(ImageError(one.name, said, remedy))
    return Added(added.images, added.again, (*added.refused, *differing))


def add_good(
    store: Store,
    row: LabelledSetRow,
    found: GoodPhotographs,
    limit_pixels: int,
    who: Person,
    advance: Advance,
) -> Added:
    """Add photographs as good parts; `advance` is told how many of all are done."""
    good, gone = labelling.line_of_set(row).good_names[:1], list[ImageError]()

    def files() -> Iterator[Given]:
        for done, one in enumerate(found.files(gone), 1):
            advance(done, len(found.names))
            yield one

    added = labelling.add_images(store, row.id, files(), limit_pixels, who)
    for number in added.images.values():
        labelling.say(store, number, good, {}, who, "the line was learned from it")
    return Added(added.images, added.again, (*added.refused, *gone))
