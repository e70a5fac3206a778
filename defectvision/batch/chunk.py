"""A few images of a batch together: read, asked of the model, into the columns of their rows."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from defectvision import logs
from defectvision.batch.answers import Answerer, SlowImagesError
from defectvision.batch.claim import Claim
from defectvision.batch.reading import MOST_TRIES, Reader
from defectvision.inference.images import ImageError
from defectvision.inference.inspector import Inspector
from defectvision.store.answers import count_tries, known_answers, mend_answers
from defectvision.store.batches import images_in
from defectvision.store.errors import ClaimLostError
from defectvision.store.files import digest_of
from defectvision.store.policies import in_force
from defectvision.store.rows import Columns, failure_columns
from defectvision.store.stored import StoredInspection
from defectvision.store.tables import BatchRow, ImageState, InspectionRow

log = logging.getLogger(__name__)
ALONE = 2  # tries of an image after which it is inspected by itself
ENDED = f"the program ended {MOST_TRIES} times while it was inspected"


@dataclass(frozen=True)
class Chunk:
    """The rows that one worker is at."""

    claim: Claim
    batch: BatchRow
    reader: Reader
    inspector: Inspector
    rows: list[InspectionRow]

    def answer(self) -> dict[int, Columns]:
        """What to write into each row, by its number; rows without it wait on. A file whose answer
        is known is not inferred again, and one that stands here twice waits for its first answer.
        Raises what is no image's fault."""
        columns, read = self.reader.read_rows(self.rows)
        first: dict[str, int] = {}
        for row, found in read.items():
            first.setdefault(digest_of(found.data), row)
        digests = {row: digest for digest, row in first.items()}
        content = {digest: read[row].data for row, digest in digests.items()}
        answered = self._answers(content, digests)
        return columns | {
            row: answered[digest] | {"digest": digest, "stamp": read[row].stamp}
            for row, digest in digests.items()
            if digest in answered
        }

    def log_failures(self, answers: dict[int, Columns]) -> None:
        """A line for each image that was not inspected."""
        for row in self.rows:
            columns = answers.get(row.id, {})
            if columns.get("state") == ImageState.FAILED:
                with logs.about(batch=self.batch.id, image=row.name):
                    log.info("%s was not inspected: %s", row.name, columns["reason"])

    def _answers(self, content: dict[str, bytes], digests: dict[int, str]) -> dict[str, Columns]:
        """By digest; those that one of them holds up are left out."""
        store, version = self.claim.store, self.inspector.loaded.version
        line = self.inspector.line
        with store.reading() as session:
            known = known_answers(session, list(content), version)
            own = self.inspector.policy
            policy = in_force(session, self.batch.line, self.batch.bundle, own).policy
            any_done = bool(images_in(session, self.batch.id, ImageState.DONE, 1))
        answerer = Answerer(self.inspector, policy, store.files, self.batch.keep)
        answered, lost = {}, {}
        for digest, row in known.items():
            if all(store.files.is_whole(x) for x in (row.record, row.thumbnail) if x):
                found_before = StoredInspection(row, line, self.batch, store.files)
                answered[digest] = answerer.repeated(found_before, content[digest])
            else:
                lost[digest] = row
        begun = [r for r in self.rows if r.id in digests and digests[r.id] not in answered]
        for row in begun:
            if row.tries >= MOST_TRIES:
                error = ImageError(row.name, ENDED, "Save the image again, or report it.")
                answered[digests[row.id]] = failure_columns(error)
        new = {digest: data for digest, data in content.items() if digest not in answered}
        if not new:
            return answered
        found = self._ask(answerer, new, [row.id for row in begun], any_done)
        for digest, row in lost.items():
            if "record" in found.get(digest, {}):
                with self.claim.session() as session:
                    mend_answers(session, row, found[digest])
        return answered | found

    def _ask(
        self, answerer: Answerer, new: dict[str, bytes], begun: list[int], any_done: bool
    ) -> dict[str, Columns]:
        """The model's answers. That it was asked stands in the rows before: an image that ends the
        program is known by it."""
        self.reader.memory.doing = ""
        self._count(begun)
        try:
            return answerer.answers(new, any_done)
        except SlowImagesError as error:
            log.warning("batch %d: %s. Each is tried by itself", self.batch.id, error)
            self._count(begun, least=ALONE)
            return {}
        except ClaimLostError:
            raise
        except Exception:
            self._count(begun, by=-1)
            raise

    def _count(self, rows: list[int], by: int = 1, least: int = 0) -> None:
        with self.claim.session() as session:
            count_tries(session, rows, by, least)
