"""A few images of a batch that are inspected together, as the database knows them."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

from defectvision import logs
from defectvision.batch.answers import SlowImagesError
from defectvision.batch.claim import Claim
from defectvision.batch.reading import MOST_TRIES
from defectvision.batch.station import Found, Question
from defectvision.bundle.schema import LoadedBundle
from defectvision.inference.images import ImageError
from defectvision.store.answers import count_tries, known_answers, mend_answers
from defectvision.store.batches import images_in
from defectvision.store.policies import in_force
from defectvision.store.rows import Columns, failure_columns
from defectvision.store.tables import BatchRow, ImageState, InspectionRow

log = logging.getLogger(__name__)
ALONE = 2  # tries of an image after which it is inspected by itself
ENDED = f"the program ended {MOST_TRIES} times while it was inspected"


class Chunk:
    """Rows that go the same way: they are read, their files are looked up, the model is asked.

    begun: when they were handed out. found: what reading them came to; None before. out: the rows
    that nobody else may be given until this chunk has ended, those of others that wait for its
    answers among them.
    """

    def __init__(
        self, number: int, claim: Claim, batch: BatchRow, bundle: LoadedBundle,
        rows: list[InspectionRow],
    ) -> None:  # fmt: skip
        self.number, self.claim, self.batch = number, claim, batch
        self.bundle, self.rows = bundle, rows
        self.begun = time.perf_counter()
        self.out = {row.id for row in rows}
        self.found: Found | None = None
        self.question: Question | None = None
        self._given_up: dict[str, Columns] = {}
        self._begun: list[int] = []

    def ask(self, elsewhere: Collection[str]) -> Question:
        """What to ask about the files that were found, but for those that are asked about
        elsewhere. A file whose answer is known is not inferred again. That the model is asked
        stands in the rows before: an image that ends the program is known by it."""
        assert self.found is not None
        of_row = {r: d for r, d in self.found.digests.items() if d not in elsewhere}
        with self.claim.store.reading() as session:
            known = known_answers(session, list(of_row.values()), self.bundle.version)
            own = self.bundle.bundle.policy
            policy = in_force(session, self.batch.line, self.batch.bundle, own).policy
            any_done = bool(images_in(session, self.batch.id, ImageState.DONE, 1))
        begun = [row for row in self.rows if row.id in of_row and of_row[row.id] not in known]
        for row in begun:
            if row.tries >= MOST_TRIES:
                error = ImageError(row.name, ENDED, "Save the image again, or report it.")
                self._given_up[of_row[row.id]] = failure_columns(error)
        self._begun = [row.id for row in begun]
        new = tuple(of_row[row] for row in self._begun if of_row[row] not in self._given_up)
        if new:
            self._count()
        self.question = Question(new, known, policy, any_done)
        return self.question

    def columns(self, answers: dict[str, Columns]) -> dict[int, Columns]:
        """What to write into each row, by its number, of answers by digest; rows without it wait
        on. One whose file stands here twice waits for its first answer."""
        assert self.found is not None and self.question is not None
        answers = answers | self._given_up
        for digest, lost in self.question.known.items():
            if "record" in answers.get(digest, {}) and "same_as" not in answers[digest]:
                with self.claim.session() as session:
                    mend_answers(session, lost, answers[digest])
        return self.found.columns | {
            row: answers[digest] | {"digest": digest, "stamp": self.found.stamps[row]}
            for row, digest in self.found.digests.items()
            if digest in answers
        }

    def were_slow(self, error: SlowImagesError) -> None:
        """Have each of the images tried by itself."""
        log.warning("batch %d: %s. Each is tried by itself", self.batch.id, error)
        self._count(least=ALONE)

    def was_not_asked(self) -> None:
        """Take back that the model was asked, for a reason that is no image's."""
        if self.question is not None and self.question.new:
            self._count(by=-1)

    def log_failures(self, answers: dict[int, Columns]) -> None:
        """A line for each image that was not inspected."""
        for row in self.rows:
            columns = answers.get(row.id, {})
            if columns.get("state") == ImageState.FAILED:
                with logs.about(batch=self.batch.id, image=row.name):
                    log.info("%s was not inspected: %s", row.name, columns["reason"])

    def _count(self, by: int = 1, least: int = 0) -> None:
        with self.claim.session() as session:
            count_tries(session, self._begun, by, least)
